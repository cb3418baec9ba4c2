"""The curve of a campaign is what its database says, generation by generation."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import Interrupted
from evofool.evolution.campaign import evolve, resume
from evofool.store import CampaignFolder

Make = Callable[..., dict[str, Any]]


def _read(run: Path) -> list[dict[str, str]]:
    with (run / "curve.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_line_a_generation(toy_campaign: Make, tmp_path: Path) -> None:
    summary = evolve(toy_campaign(), tmp_path / "run").summary
    rows = _read(tmp_path / "run")
    with CampaignFolder.open(tmp_path / "run") as run:
        stored = run.generations()
    assert [int(row["generation"]) for row in rows] == list(range(13))
    assert [int(row["evaluations"]) for row in rows] == [20 + 20 * g for g in range(13)]
    assert [float(row["median"]) for row in rows] == [row.stats["median"] for row in stored]
    assert float(rows[-1]["median"]) == summary["confidence"]["median"]
    assert int(rows[-1]["cells_won"]) == summary["cells_won"]


def test_an_interrupted_run_has_one_and_a_resume_completes_it(
    toy_campaign: Make, tmp_path: Path
) -> None:
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 12

    with pytest.raises(Interrupted):
        evolve(toy_campaign(), tmp_path / "run", should_stop=stop)
    part = _read(tmp_path / "run")
    assert 0 < len(part) < 13
    resume(tmp_path / "run")
    whole = _read(tmp_path / "run")
    assert len(whole) == 13
    assert [row["median"] for row in whole[: len(part)]] == [row["median"] for row in part]
