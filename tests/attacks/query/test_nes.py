"""NES: estimates point uphill, queries are pictures of the ball, and the limit holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.attacks import NES
from evofool.classifiers import Classifier, from_module, from_predict
from evofool.errors import UsageError
from evofool.scoring import Scorer

SHAPE = (1, 6, 6)
Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(1).integers(60, 200, (5, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="module")
def victim() -> Classifier:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, 4))
    return from_module(net, input_shape=SHAPE, name="net")


def right(victim: Classifier, images: Images) -> NDArray[np.int64]:
    with Scorer(victim) as scorer:
        return scorer.labels(images)


class Slope:
    """Two classes by a linear score that never changes sign; keeps what it was asked."""

    def __init__(self) -> None:
        self.weights = np.random.default_rng(3).choice([-1.0, 1.0], 36)
        self.asked: list[Images] = []

    def __call__(self, images: Images) -> NDArray[np.float64]:
        self.asked.append(images.copy())
        score = images.reshape(len(images), -1) @ self.weights / 255
        return np.stack([50 - score, score - 50], axis=1)

    def victim(self) -> Classifier:
        found = from_predict(self, input_shape=SHAPE, output="logits", name="slope")
        self.asked.clear()
        return found


@pytest.mark.parametrize("sigma", [0.001, 4 / 255])
def test_it_finds_the_slope(sigma: float, images: Images) -> None:
    """On a linear score the best point of the ball is x + eps sign(w)."""
    box = Slope()
    with Scorer(box.victim()) as scorer:
        found = NES(eps=8.9 / 255, queries=3001, sigma=sigma, lr=2 / 255)(
            scorer, images[:2], [0, 0]
        )
        assert scorer.queries == found.forward_images + found.verify_forward_images
    assert sum(map(len, box.asked)) == scorer.queries
    assert not found.success.any()
    best = 8 * box.weights.reshape(SHAPE)
    moved = found.pixels.astype(int) - images[:2]
    assert (moved == best).mean() > 0.9
    for batch in box.asked:
        gap = np.abs(batch[:, None].astype(int) - images[None, :2]).max(axis=(2, 3, 4))
        assert (gap.min(axis=1) <= 8).all()


@pytest.mark.parametrize("queries", [1, 2, 3, 52, 77])
def test_the_limit_holds_to_the_query(queries: int, images: Images) -> None:
    box = Slope()
    with Scorer(box.victim()) as scorer:
        found = NES(queries=queries)(scorer, images[:2], [0, 0])
        assert (found.forward_each <= queries).all()
        assert (found.forward_each >= queries - 1).all()
        assert scorer.queries == found.forward_images
    assert found.complete.all()


def test_it_fools_and_says_so_truly(victim: Classifier, images: Images) -> None:
    labels = right(victim, images)
    with Scorer(victim) as scorer:
        found = NES(eps=0.3, queries=1000)(scorer, images, labels)
        assert scorer.queries == found.forward_images
    assert found.success.all()
    assert (right(victim, found.pixels) != labels).all()
    assert (found.norms.linf <= 0.3).all()
    assert (found.images == found.images_float).all()


def test_targets(victim: Classifier, images: Images) -> None:
    with Scorer(victim) as scorer:
        targets = scorer.confidence(images).argsort(axis=1)[:, -2]
        found = NES(eps=0.5, queries=3000)(scorer, images, targets=targets)
    assert found.success.all()
    assert (right(victim, found.pixels) == targets).all()


def test_results_depend_on_no_batch(victim: Classifier, images: Images) -> None:
    labels = right(victim, images)
    attack = NES(eps=0.05, queries=160, samples=10, seed=4)
    with Scorer(victim) as scorer:
        together = attack(scorer, images, labels)
        for i in range(len(images)):
            alone = attack(scorer, images[i : i + 1], labels[i : i + 1], ids=[i])
            assert (alone.pixels[0] == together.pixels[i]).all()
            assert alone.forward_images == together.forward_each[i]


def test_a_budget_that_ends_midway(images: Images) -> None:
    box = Slope()
    with Scorer(box.victim(), budget=120) as scorer:
        found = NES(samples=20)(scorer, images[:2], [0, 0])
    assert scorer.queries == found.forward_images <= 120
    assert not found.complete.any()
    assert any("budget ended" in note for note in found.notes)
    assert (found.pixels != images[:2]).any()


def test_probabilities_of_exactly_zero_and_one(images: Images) -> None:
    """A victim that is always sure gives nothing to climb, and no NaN either."""
    sure = from_predict(
        lambda x: np.tile([1.0, 0.0], (len(x), 1)), input_shape=SHAPE, output="probs"
    )
    with Scorer(sure) as scorer, np.errstate(all="raise"):
        found = NES(queries=60)(scorer, images, [0] * len(images))
    assert not found.success.any()
    assert (found.norms.linf <= 8 / 255 + 1e-9).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 3}, "nes: samples must be even"),
        ({"samples": 0}, "nes: samples"),
        ({"queries": 0}, "nes: queries"),
        ({"sigma": 0.0}, "nes: sigma"),
        ({"lr": float("nan")}, "nes: lr"),
        ({"momentum": 1.0}, "nes: momentum"),
        ({"plateau": 0}, "nes: plateau"),
    ],
)
def test_bad_parameters(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NES(**change)  # type: ignore[arg-type]
