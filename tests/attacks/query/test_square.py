"""Square: every try is a picture in the ball, one query each, the published schedule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.attacks import Square
from evofool.attacks.query.bumps import bump, tiles
from evofool.attacks.query.square import nearest_inside
from evofool.classifiers import Classifier, from_module, from_predict
from evofool.errors import UsageError
from evofool.scoring import Scorer

SHAPE = (3, 11, 9)
Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def victim() -> Classifier:
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 9 * 7, 5))
    return from_module(net, input_shape=SHAPE, name="net")


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(1).integers(0, 256, (6, *SHAPE), dtype=np.uint8)


def right(victim: Classifier, images: Images) -> NDArray[np.int64]:
    with Scorer(victim) as scorer:
        return scorer.labels(images)


class Recording:
    """A black box of three classes by mean brightness; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Images] = []

    def __call__(self, images: Images) -> NDArray[np.float64]:
        self.asked.append(images.copy())
        mean = images.astype(np.float64).mean(axis=(1, 2, 3))
        return np.stack([mean, 20 - mean, np.full(len(images), -500.0)], axis=1)

    def victim(self) -> Classifier:
        found = from_predict(self, input_shape=SHAPE, output="logits", name="mean")
        self.asked.clear()
        return found


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_all_that_is_asked_is_a_picture_in_the_ball_and_counted(norm: str, images: Images) -> None:
    box = Recording()
    eps = 8.4 / 255 if norm == "linf" else 0.7
    with Scorer(box.victim()) as scorer:
        found = Square(
            eps=eps, norm=norm, queries=30, seed=2
        )(  # type: ignore[arg-type]
            scorer, images[:2], [0, 0]
        )
    asked = [picture for batch in box.asked for picture in batch]
    assert len(asked) == scorer.queries == found.forward_images == 60
    assert found.verify_forward_images == 0
    change = [(p.astype(float) - images[i % 2]) / 255 for i, p in enumerate(asked)]
    if norm == "linf":
        assert max(np.abs(c).max() for c in change) == pytest.approx(8 / 255)
    else:
        lengths = [np.sqrt((c**2).sum()) for c in change]
        assert max(lengths) <= eps
        assert min(lengths) > 0.85 * eps
    assert not found.success.any()
    assert (found.images == found.images_float).all()


def test_it_goes_downhill_only(images: Images) -> None:
    box = Recording()
    with Scorer(box.victim()) as scorer:
        found = Square(eps=20 / 255, queries=40)(scorer, images[:1], [0])
    means = [float(batch.mean()) for batch in box.asked]
    assert found.pixels.mean() == pytest.approx(min(means))
    best = box.asked[0]
    for after in box.asked[1:]:
        base, best = best, min(best, after, key=lambda batch: float(batch.mean()))
        differs = np.argwhere((after[0] != base[0]).any(axis=0))
        assert len(differs), "a try that changes nothing"
        height, width = differs.max(axis=0) - differs.min(axis=0) + 1
        assert max(height, width) <= 3, "a window of 5 % of 99 pixels has 2 a side"


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_fools_and_says_so_truly(norm: str, victim: Classifier, images: Images) -> None:
    labels = right(victim, images)
    with Scorer(victim) as scorer:
        found = Square(eps=0.25 if norm == "linf" else 3, norm=norm, queries=200)(  # type: ignore[arg-type]
            scorer, images, labels
        )
        assert scorer.queries == found.forward_images + found.verify_forward_images
    assert found.success.all()
    assert (right(victim, found.pixels) != labels).all()
    assert (found.predicted == right(victim, found.pixels)).all()
    assert (found.forward_each < 200).all()


def test_targets(victim: Classifier, images: Images) -> None:
    targets = (right(victim, images) + 1) % 5
    with Scorer(victim) as scorer:
        found = Square(eps=0.4, queries=400)(scorer, images, targets=targets)
    assert found.success.all()
    assert (right(victim, found.pixels) == targets).all()


def test_results_depend_on_no_batch(victim: Classifier, images: Images) -> None:
    labels = right(victim, images)
    attack = Square(eps=0.2, queries=30, seed=9)
    with Scorer(victim) as scorer:
        together = attack(scorer, images, labels)
    with Scorer(victim, batch=2) as scorer:
        for i in range(len(images)):
            alone = attack(scorer, images[i : i + 1], labels[i : i + 1], ids=[i])
            assert (alone.pixels[0] == together.pixels[i]).all()
            assert alone.forward_images == together.forward_each[i]


def test_a_budget_that_ends_midway_keeps_the_best_so_far(images: Images) -> None:
    box = Recording()
    with Scorer(box.victim(), budget=21) as scorer:
        found = Square(eps=20 / 255, queries=100)(scorer, images[:2], [0, 0])
    assert scorer.queries == 20
    assert not found.complete.any()
    assert any("budget ended" in note for note in found.notes)
    for i in range(2):
        asked = [float(batch[i].mean()) for batch in box.asked]
        assert found.pixels[i].mean() == pytest.approx(min(asked))


def test_a_radius_below_one_level_asks_nothing(victim: Classifier, images: Images) -> None:
    with Scorer(victim) as scorer:
        found = Square(eps=0.003)(scorer, images, right(victim, images))
    assert found.forward_images == 0
    assert (found.pixels == images).all()
    assert any("one level" in note for note in found.notes)


def test_the_published_schedule() -> None:
    attack = Square(p_init=0.8, queries=10_000)
    at = [10, 11, 50, 51, 200, 201, 501, 1001, 2001, 4001, 6001, 8001]
    halved = [0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [attack.share(i) for i in at] == [0.8 / 2**k for k in halved]
    short = Square(queries=100, rescale=True)
    assert short.share(1) == 0.05 / 4
    assert Square(queries=100).share(1) == 0.05
    assert Square(norm="l2").share(0) == 0.1


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
def test_bumps(side: int) -> None:
    found = bump(side, turned=False)
    assert found.shape == (side, side)
    assert (found**2).sum() == pytest.approx(1)
    assert (bump(side, turned=True) == found.T).all()
    assert (found[: side // 2] > 0).all()
    assert (found[side // 2 :] < 0).all()


def test_a_bump_by_hand() -> None:
    """5 x 5, the lower half of 3 x 5: rings around (1, 2), sums of 1, 1/4, 1/9."""
    a, b, c = 1 + 1 / 4 + 1 / 9, 1 / 4 + 1 / 9, 1 / 9
    lower = np.array([[c, b, b, b, c], [c, b, a, b, c], [c, b, b, b, c]])
    found = bump(5, turned=False)[2:]
    assert found / found[1, 2] == pytest.approx(lower / a)


@pytest.mark.parametrize("size", [(1, 1), (4, 9), (28, 28), (11, 9)])
def test_tiles_do_not_overlap(size: tuple[int, int]) -> None:
    hits = np.zeros(size, int)
    for top, left, side in tiles(*size):
        hits[top : top + side, left : left + side] += 1
    assert hits.max() == 1
    assert hits.mean() > 0.5


def test_rounding_stays_inside_and_uses_the_ball() -> None:
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (20, 3, 16, 16), dtype=np.uint8)
    delta = rng.standard_normal(clean.shape)
    eps = 0.15
    delta *= eps / np.sqrt((delta**2).sum(axis=(1, 2, 3), keepdims=True))
    x = np.clip(clean / 255 + delta, 0, 1).astype(np.float32)
    found = nearest_inside(x, clean, eps)
    lengths = np.sqrt((((found.astype(float) - clean) / 255) ** 2).sum(axis=(1, 2, 3)))
    assert (lengths <= eps).all()
    assert lengths.mean() > 0.8 * eps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": 0}, "square: queries"),
        ({"p_init": 0.0}, "square: p_init"),
        ({"p_init": 1.5}, "square: p_init"),
        ({"norm": "l1"}, "square: norm"),
        ({"eps": 0.0}, "square: eps"),
        ({"seed": -1}, "square: seed"),
    ],
)
def test_bad_parameters(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Square(**change)  # type: ignore[arg-type]


def test_labels_alone_are_not_enough(images: Images) -> None:
    victim = from_predict(
        lambda x: np.zeros(len(x), np.int64), input_shape=SHAPE, output="label", labels=["a", "b"]
    )
    with Scorer(victim) as scorer, pytest.raises(UsageError, match="only labels; use substitute"):
        Square()(scorer, images, [0] * len(images))
