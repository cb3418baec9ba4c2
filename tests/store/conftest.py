"""Small run folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from evofool.store import (
    CampaignFolder,
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
)

MakeDelta: TypeAlias = Callable[..., Delta]
MANIFEST: dict[str, Any] = {
    "kind": "evolve",
    "run_id": "r1",
    "seed": 7,
    "classifier": {
        "name": "toy",
        "digest": "0" * 64,
        "input_shape": [1, 6, 6],
        "labels": ["ä", "</b>"],
    },
    "encoding": {"name": "direct"},
}
CONFIG = "seed: 7\nclassifier: {name: größer}\n"


@pytest.fixture
def make_delta() -> MakeDelta:
    """A generation whose child takes cells from another: `make_delta(g, {cell: replaced})`."""

    def make(generation: int, cells: dict[int, IndividualId | None], child: int = 0) -> Delta:
        own = IndividualId(generation, child)
        parents = tuple(sorted({i for i in cells.values() if i is not None}))
        return Delta(
            generations=[GenerationRow(generation, 20, 24, 8, 0.5 + generation, {"best": 0.25})],
            individuals=[
                IndividualRow(own, parents, tuple(cells)[:2], bytes(32), b"genome %d" % generation)
            ],
            wins=[WinRow(own, c, 1.5, 0.75, replaced) for c, replaced in cells.items()],
            elites={c: EliteRow(c, own, 1.5, 1.5, 0.75, c == 0) for c in cells},
            state={"rates": b"\0\1" * generation},
            meta={"status": "running", "generation": str(generation)},
        )

    return make


@pytest.fixture
def folder(tmp_path: Path, make_delta: MakeDelta) -> Path:
    """A run of two generations, closed."""
    path = tmp_path / "run"
    with CampaignFolder.create(path, MANIFEST, CONFIG) as run:
        run.commit(make_delta(0, {0: None, 1: None, 2: None}))
        run.commit(make_delta(1, {1: IndividualId(0, 0)}))
    return path
