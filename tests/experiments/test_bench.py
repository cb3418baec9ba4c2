"""The bench reports what it says; no speed is asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from evofool.errors import UsageError
from evofool.experiments.bench import PAPER_IMAGES, Scoring, bench, suggest

TOYS = Path(__file__).parents[1] / "toys" / "exact.py"


def test_a_small_bench() -> None:
    said: list[str] = []
    report = bench(["mnist-lenet"], alternations=2, seconds=0.01, workers=2, say=said.append)
    assert {row.side for row in report.rendering} == {28, 224}
    assert {row.engine for row in report.scoring} == {"torch", "onnxruntime"}
    (run,) = report.campaign
    assert run.batch == report.suggested_batch["mnist-lenet"]
    assert run.alternations == 2
    assert run.spread[0] <= run.efficiency <= run.spread[1]
    assert 0 < run.ceiling < 1
    assert run.paper_hours == pytest.approx(PAPER_IMAGES / run.images_per_second / 3600)
    assert run.slowest >= 1
    assert len(said) == 5


def test_the_suggested_batch_is_the_smallest_of_the_fast_ones() -> None:
    def row(engine: str, batch: int, rate: float) -> Scoring:
        return Scoring("x", engine, "cpu", 2, batch, rate)

    rows = [row("a", 5, 50.0), row("a", 10, 97.5), row("a", 25, 100.0), row("b", 5, 99.0)]
    assert suggest(rows, "a") == 10


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="alternation"):
        bench(["mnist-lenet"], alternations=0)
    with pytest.raises(UsageError, match="unknown"):
        bench(["nothing"], seconds=0.01)
