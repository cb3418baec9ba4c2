"""Out of memory: the micro-batch is halved and the work done again, or a clear error."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module
from evofool.errors import ScoringError
from evofool.scoring import OutOfMemory, Scorer

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]
SHAPE = (1, 6, 6)


class Sizes(list[int]):
    """One list for all threads: a copy of the module keeps it."""

    def __deepcopy__(self, memo: object) -> Sizes:
        return self


class Small(nn.Module):
    """Has room for `room` images, and remembers how many it was given."""

    def __init__(self, net: nn.Module, room: int, error: Exception) -> None:
        super().__init__()
        self.net = net
        self.room = room
        self.error = error
        self.sizes = Sizes()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise self.error
        outputs: torch.Tensor = self.net(images)
        return outputs


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("std::bad_alloc"),
]


@pytest.fixture(params=ERRORS, ids=lambda error: type(error).__name__)
def small(request: pytest.FixtureRequest, net: nn.Module) -> Small:
    return Small(net, 3, request.param)


def scorer_of(small: Small, victim: Classifier, make: MakeScorer, **options: Any) -> Scorer:
    return make(dataclasses.replace(victim, module=small), engine="torch", **options)


@pytest.mark.parametrize("workers", [1, 2])
def test_score_halves_and_succeeds(
    small: Small, victim: Classifier, make_scorer: MakeScorer, images: Images, workers: int
) -> None:
    expected = make_scorer(victim, engine="torch").score(images).log_odds
    scorer = scorer_of(small, victim, make_scorer, batch=8, workers=workers)
    assert scorer.score(images).log_odds == pytest.approx(expected, abs=1e-5)
    assert scorer.batch == 2  # for good
    assert scorer.queries == 11  # a retry asks nothing new
    assert scorer.forward_images == sum(small.sizes)  # but it is work
    small.sizes.clear()
    scorer.score(images)
    assert max(small.sizes) == 2


def test_gradients_halve_and_succeed(
    small: Small, victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return outputs[:, 0] * rows

    expected = make_scorer(victim).gradients(images, loss)
    scorer = scorer_of(small, victim, make_scorer, batch=8)
    found = scorer.gradients(images, loss)
    assert found.values == pytest.approx(expected.values, abs=1e-4)
    assert found.loss == pytest.approx(expected.loss, abs=1e-4)
    assert scorer.batch == 2
    assert scorer.queries == 11


def test_padding_follows_the_halved_batch(
    net: nn.Module, victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    small = Small(net, 3, MemoryError())
    scorer = scorer_of(small, victim, make_scorer, batch=8, pad=True)
    assert len(scorer.score(images[:5])) == 5
    assert small.sizes[-3:] == [2, 2, 2]


def test_no_room_for_a_single_image(
    victim: Classifier, make_scorer: MakeScorer, images: Images, net: nn.Module
) -> None:
    for ask in ("score", "gradients"):
        scorer = scorer_of(Small(net, 0, MemoryError()), victim, make_scorer, batch=4)
        arguments: list[Any] = [images]
        if ask == "gradients":
            arguments.append(lambda outputs, rows: outputs[:, 0])
        with pytest.raises(ScoringError, match="tiny: no memory for a single image on cpu") as info:
            getattr(scorer, ask)(*arguments)
        assert not isinstance(info.value, OutOfMemory)
        assert scorer.batch == 1


def test_a_black_box_out_of_memory(
    black_box: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    assert black_box.predict is not None
    inner = black_box.predict

    def predict(batch: Images) -> Any:
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(batch)

    scorer = make_scorer(dataclasses.replace(black_box, predict=predict), batch=64)
    expected = make_scorer(black_box).score(images).log_odds
    assert scorer.score(images).log_odds == pytest.approx(expected)
    assert scorer.batch == 2


def test_ten_crops_halve_down_to_one_image(net: nn.Module, make_scorer: MakeScorer) -> None:
    from evofool.classifiers import with_crops

    cropped = with_crops(from_module(net, input_shape=SHAPE), 10)
    small = Small(net, 10, MemoryError())
    side = cropped.input_shape[1]
    wide = np.zeros((5, 1, side, side), np.uint8)
    scorer = scorer_of(small, cropped, make_scorer, batch=64)
    assert len(scorer.score(wide)) == 5
    assert scorer.images_per_batch == 1
    full = scorer_of(Small(net, 9, MemoryError()), cropped, make_scorer, batch=64)
    with pytest.raises(ScoringError, match="no memory for a single image"):
        full.score(wide)


def test_another_failure_is_not_taken_for_it(
    victim: Classifier, make_scorer: MakeScorer, images: Images, net: nn.Module
) -> None:
    small = Small(net, 3, RuntimeError("shapes (2, 3) and (4, 5) cannot be multiplied"))
    scorer = scorer_of(small, victim, make_scorer, batch=8)
    with pytest.raises(ScoringError, match="cannot be multiplied"):
        scorer.score(images)
    assert scorer.batch == 8


def test_map_hands_it_to_the_caller_and_leaves_nothing_running(
    victim: Classifier, make_scorer: MakeScorer, images: Images, net: nn.Module
) -> None:
    small = Small(net, 3, torch.OutOfMemoryError("CUDA out of memory"))
    scorer = scorer_of(small, victim, make_scorer, batch=4, workers=2)
    running = 0
    lock = threading.Lock()

    def produce(part: Images) -> Images:
        nonlocal running
        with lock:
            running += 1
        try:
            return part
        finally:
            with lock:
                running -= 1

    parts = [images[:4], images[4:8], images[8:]]
    with pytest.raises(OutOfMemory):
        list(scorer.map([lambda part=part: produce(part) for part in parts]))
    assert running == 0
    calls = len(small.sizes)
    for _ in range(scorer.workers):
        scorer._pool.submit(lambda: None).result()
    assert len(small.sizes) == calls
    assert scorer.batch == 4  # the caller halves
    assert scorer.halve() == 2
    scores = list(scorer.map([lambda i=i: images[i : i + 2] for i in range(0, 11, 2)]))
    assert sum(map(len, scores)) == 11


def test_gradients_of_large_images_are_taken_a_few_at_a_time(make_scorer: MakeScorer) -> None:
    """On a CPU nothing says that memory has run out: the graph must be small from the start."""
    side, rng = 200, np.random.default_rng(1)
    images = rng.integers(0, 256, (20, 3, side, side), dtype=np.uint8)
    linear = nn.Sequential(nn.AvgPool2d(50), nn.Flatten(), nn.Linear(48, 4))
    small = Small(linear, 100, MemoryError())
    victim = from_module(small, input_shape=(3, side, side), labels=list("abcd"))

    def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return outputs.gather(1, (rows % 4)[:, None])[:, 0]

    scorer = make_scorer(victim, batch=20)
    small.sizes.clear()  # of the probes
    found = scorer.gradients(images, loss)
    assert max(small.sizes) * 3 * side * side * 4 * 200 <= 2**30
    assert sum(small.sizes) == scorer.forward_images == scorer.backward_images == 20
    each = linear[2].weight.detach().numpy().reshape(4, 3, 4, 1, 4, 1) / 2500
    expected = np.broadcast_to(each, (4, 3, 4, 50, 4, 50)).reshape(4, 3, side, side)
    np.testing.assert_allclose(found.values, expected[np.arange(20) % 4], rtol=0, atol=1e-9)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_large_images_go_through_a_cpu_a_few_at_a_time(
    make_scorer: MakeScorer, engine: str
) -> None:
    """Whatever the micro-batch is: what a layer gives for all of them would fit no cache."""
    side, rng = 200, np.random.default_rng(1)
    images = rng.integers(0, 256, (30, 3, side, side), dtype=np.uint8)
    net = nn.Sequential(nn.AvgPool2d(50), nn.Flatten(), nn.Linear(48, 4))
    small = Small(net, 100, MemoryError()) if engine == "torch" else net
    victim = from_module(small, input_shape=(3, side, side), labels=list("abcd"))
    whole = make_scorer(victim, engine=engine, batch=30, workers=1)
    if isinstance(small, Small):
        small.sizes.clear()
    scores = whole.score(images)
    if isinstance(small, Small):
        assert small.sizes == [13, 13, 4]  # of 480,000 bytes each
    assert whole.forward_images == whole.queries == 30
    each = make_scorer(victim, engine=engine, batch=1, workers=1).score(images)
    assert scores.log_odds == pytest.approx(each.log_odds, abs=1e-5)
    assert whole.score(images[:0]).log_odds.shape == (0, 4)
