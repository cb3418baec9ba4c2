"""Pictures of any generation, bred again: the very ones that were scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.errors import StoreError, UsageError
from evofool.evolution.campaign import evolve
from evofool.evolution.evaluation import Evaluator
from evofool.evolution.replaying import early_and_late

Campaign = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("encoding", "how"),
    [
        ("direct", {}),
        ("cppn", {}),
        ("cppn", {"parents": "recent"}),
        ("cppn", {"parents": "recent", "refine": True}),
        ("direct", {"refine": True}),
    ],
)
def test_they_are_what_was_scored(
    toy_campaign: Campaign,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    how: dict[str, Any],
) -> None:
    seen: dict[tuple[int, int], Any] = {}
    draw = Evaluator.to_score

    def watched(self: Evaluator, individuals: Any) -> Any:
        images = draw(self, individuals)
        for individual, image in zip(individuals, images, strict=True):
            seen[tuple(individual.id)] = np.array(image)
        return images

    monkeypatch.setattr(Evaluator, "to_score", watched)
    run = tmp_path / "run"
    config = toy_campaign(encoding={"name": encoding}, stop={"generations": 6})
    config["evolution"] = {"initial": 20, "children": 15, **how}
    evolve(config, run)
    scored = [seen[key] for key in sorted(seen)]
    assert len(scored) == 20 + 6 * 15
    before = len(seen)
    early, late = early_and_late(run, 37, 40)  # both end within a generation
    assert np.array_equal(early, np.stack(scored[:37]))
    assert np.array_equal(late, np.stack(scored[-40:]))
    assert early.dtype == np.uint8
    assert len(seen) == before  # nothing was scored
    whole, none = early_and_late(run, 110, 0)
    assert np.array_equal(whole, np.stack(scored))
    assert len(none) == 0


def test_what_cannot_be_had(toy_campaign: Campaign, tmp_path: Path) -> None:
    run = tmp_path / "run"
    evolve(toy_campaign(stop={"generations": 2}), run)
    with pytest.raises(
        UsageError, match="31 early and 30 late pictures were asked for, but only 60"
    ):
        early_and_late(run, 31, 30)
    lagging = {"initial": 20, "children": 20, "lag": 1}
    evolve(toy_campaign(stop={"generations": 2}, evolution=lagging), tmp_path / "lag")
    with pytest.raises(UsageError, match="without lag"):
        early_and_late(tmp_path / "lag", 1, 1)


def test_a_changed_past_is_noticed(toy_campaign: Campaign, tmp_path: Path) -> None:
    import sqlite3

    run = tmp_path / "run"
    evolve(toy_campaign(stop={"generations": 4}), run)
    with sqlite3.connect(run / "run.sqlite") as database:
        database.execute("UPDATE individuals SET sha256 = zeroblob(32) WHERE genome IS NULL")
    with pytest.raises(StoreError, match="different when it is bred again"):
        early_and_late(run, 30, 30)
