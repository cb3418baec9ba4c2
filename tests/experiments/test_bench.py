"""The bench reports what it says; no speed is asserted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import evofool.experiments.bench as bench_module
from evofool.errors import UsageError
from evofool.evolution import drawing
from evofool.experiments.bench import PAPER_IMAGES, Scoring, bench, suggest
from evofool.render import tensors
from evofool.scoring import Scorer

TOYS = Path(__file__).parents[1] / "toys" / "exact.py"


def test_a_small_bench() -> None:
    said: list[str] = []
    report = bench(["mnist-lenet"], alternations=2, seconds=0.01, workers=2, say=said.append)
    assert {row.side for row in report.rendering} == {28, 224}
    assert {(row.renderer, row.device) for row in report.rendering} == {("host", "cpu")}
    assert {row.engine for row in report.scoring} == {"torch", "onnxruntime"}
    (run,) = report.campaign
    assert run.batch == report.suggested_batch["mnist-lenet"]
    assert run.alternations == 2
    assert (run.renderer, run.device, report.machine["device"]) == ("host", "cpu", "cpu")
    assert run.spread[0] <= run.efficiency <= run.spread[1]
    assert 0 < run.ceiling < 1
    assert run.paper_hours == pytest.approx(PAPER_IMAGES / run.images_per_second / 3600)
    assert run.slowest >= 1
    assert len(said) == 5


def test_on_a_gpu_it_draws_there_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU stands in: pictures are tensors that PyTorch drew, ready ones too."""
    for module in (drawing, bench_module):
        monkeypatch.setattr(module, "accelerated", lambda device: True)
    monkeypatch.setattr(tensors, "tensor_backend", lambda device: "torch")
    monkeypatch.setattr(bench_module, "BATCHES_ON_A_GPU", (4, 8))
    waited: list[str] = []
    monkeypatch.setattr(bench_module, "wait_for", waited.append)
    ready: list[type] = []
    made = Scorer._made

    def watched(self: Scorer, images: Any) -> Any:
        ready.append(type(images))
        return made(self, images)

    monkeypatch.setattr(Scorer, "_made", watched)
    tensors.working_backend.cache_clear()
    report = bench(["mnist-lenet"], alternations=1, seconds=0.01, workers=2)
    tensors.working_backend.cache_clear()
    assert {row.renderer for row in report.rendering} == {"torch"}
    assert {row.batch for row in report.scoring} == {4, 8}
    assert report.campaign[0].renderer == "torch"
    assert set(ready) == {torch.Tensor}
    assert set(waited) == {"cpu"}


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
