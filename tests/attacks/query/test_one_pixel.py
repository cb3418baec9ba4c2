"""One pixel by differential evolution: few pixels change, and the search finds the right ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.attacks import OnePixel
from evofool.attacks.query.one_pixel import initial, offspring, painted
from evofool.classifiers import Classifier, from_predict
from evofool.errors import UsageError
from evofool.scoring import Scorer

Images = NDArray[np.uint8]
WEAK = (4, 7)
"""The pixel that the box below looks at."""


class Spot:
    """Class 1 if one pixel is bright in its last channel; confidence falls with the distance of
    bright spots from it, so that there is something to climb. Counts what it is asked."""

    def __init__(self, shape: tuple[int, int, int], bias: float) -> None:
        self.shape, self.bias, self.asked = shape, bias, 0
        row, column = np.indices(shape[1:])
        self.weights = np.exp(-((row - WEAK[0]) ** 2 + (column - WEAK[1]) ** 2) / 8.0)

    def __call__(self, images: Images) -> NDArray[np.float64]:
        self.asked += len(images)
        score = (images[:, -1] / 255 * self.weights).sum(axis=(1, 2))
        return np.stack([np.full(len(images), self.bias), score], axis=1)

    def victim(self) -> Classifier:
        found = from_predict(self, input_shape=self.shape, output="logits", name="spot")
        self.asked = 0
        return found


@pytest.mark.parametrize("channels", [1, 3])
def test_it_finds_the_pixel_that_matters(channels: int) -> None:
    box = Spot((channels, 10, 12), bias=0.97)
    clean = np.zeros((2, channels, 10, 12), np.uint8)
    with Scorer(box.victim()) as scorer:
        found = OnePixel(population=40, generations=60, part=10)(scorer, clean, [0, 0])
        assert scorer.queries == box.asked == found.forward_images
    assert found.success.all()
    assert found.norms.l0.tolist() == [1, 1]
    assert (found.pixels[:, -1, WEAK[0], WEAK[1]] >= 0.97 * 255).all()
    assert found.verify_forward_images == 0
    assert (found.forward_each < 41 * 40).all()


def test_several_pixels() -> None:
    box = Spot((1, 10, 12), bias=2.5)
    clean = np.zeros((1, 1, 10, 12), np.uint8)
    with Scorer(box.victim()) as scorer:
        assert not OnePixel(pixels=1, population=20, generations=5)(scorer, clean, [0]).success[0]
        found = OnePixel(pixels=3, population=60, generations=80)(scorer, clean, targets=[1])
    assert found.success.all()
    assert found.norms.l0[0] == 3


@pytest.mark.parametrize("queries", [1, 49, 50, 51, 200, 1234])
def test_the_limit_holds_to_the_query(queries: int) -> None:
    box = Spot((1, 10, 12), bias=9.0)
    with Scorer(box.victim()) as scorer:
        found = OnePixel(population=120, generations=3, queries=queries)(
            scorer, np.zeros((3, 1, 10, 12), np.uint8), [0, 0, 0]
        )
    assert found.forward_each.tolist() == [min(queries, 480)] * 3
    assert box.asked == 3 * min(queries, 480)


def test_the_best_picture_so_far_stands_when_the_budget_ends() -> None:
    box = Spot((1, 10, 12), bias=9.0)
    clean = np.zeros((1, 1, 10, 12), np.uint8)
    with Scorer(box.victim(), budget=400) as scorer:
        found = OnePixel(population=50, part=50)(scorer, clean, [0])
    assert box.asked == 400
    assert not found.complete[0]
    with Scorer(box.victim()) as scorer:
        whole = OnePixel(population=50, part=50, queries=400)(scorer, clean, [0])
    assert (whole.pixels == found.pixels).all()
    assert whole.complete[0]
    assert found.norms.l0[0] == 1


def test_results_depend_on_no_batch() -> None:
    box = Spot((3, 10, 12), bias=0.9)
    clean = np.random.default_rng(0).integers(0, 60, (4, 3, 10, 12), dtype=np.uint8)
    box.bias = 1.1 * float(box(clean)[:, 1].max())
    attack = OnePixel(population=12, generations=4, part=5, seed=3)
    with Scorer(box.victim()) as scorer:
        together = attack(scorer, clean, [0] * 4)
        for i in range(4):
            alone = attack(scorer, clean[i : i + 1], [0], ids=[i])
            assert (alone.pixels[0] == together.pixels[i]).all()
            assert alone.forward_images == together.forward_each[i]


def test_parents_are_three_others() -> None:
    """With genes that name their owner, a child of F = 100 tells who its parents were."""
    owners = np.arange(6.0)[:, None].repeat(3, axis=1)
    seen = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        children = offspring(rng, owners * 1e-3 + 1, 0.01, 1, (1, 4, 4))[:, 0]
        code = np.rint((children - 1) * 1e5).astype(int)  # 100 r1 + (r2 - r3)
        for i, value in enumerate(code):
            r1 = round(value / 100)
            difference = value - 100 * r1
            assert r1 != i
            assert difference != 0
            seen.add((i, r1))
    assert len(seen) == 30


def test_genes_stay_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    shape = (3, 5, 7)
    genes = initial(rng, 400, 3, shape)
    for _ in range(5):
        genes = offspring(rng, genes, 0.9, 3, shape)
        each = genes.reshape(400, 3, 5)
        assert each.min() >= 0
        assert each[..., 0].max() < 5
        assert each[..., 1].max() < 7
        assert each[..., 2:].max() < 256


def test_painting_by_hand() -> None:
    clean = np.zeros((2, 3, 4, 4), np.uint8)
    genes = np.array([[[1.9, 2.1, 10.5, 20.0, 255.9]], [[3, 0, 1, 2, 3]]])
    found = painted(clean, genes, 1)
    assert found[0, :, 1, 2].tolist() == [10, 20, 255]
    assert found[1, :, 3, 0].tolist() == [1, 2, 3]
    assert (found != 0).sum() == 6


@pytest.mark.parametrize(
    "change",
    [{"pixels": 0}, {"population": 3}, {"generations": -1}, {"factor": 0.0}, {"queries": 0},
     {"part": 0}],
)  # fmt: skip
def test_bad_parameters(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"one-pixel: {next(iter(change))}"):
        OnePixel(**change)  # type: ignore[arg-type]
