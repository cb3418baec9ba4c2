"""Sign embedding: what may be painted, the objective and its search, who it is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.attacks import SignEmbedding
from evofool.attacks.gradient.sign_embedding import _Search
from evofool.attacks.job import Job
from evofool.attacks.lattice.signs import SHAPES, sign_mask
from evofool.classifiers import Classifier
from evofool.errors import UsageError
from evofool.scoring import Scorer

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


def attacked(victim: Classifier, images: Images, labels: Labels, **options: Any) -> Any:
    with Scorer(victim) as scorer:
        return SignEmbedding(**{"steps": 60, "kappa": 8.0, **options})(
            scorer, images, targets=(labels + 1) % 5
        )


def test_it_reaches_its_targets_and_says_so_truly(
    linear: Classifier, images: Images, labels: Labels
) -> None:
    found = attacked(linear, images, labels, confidence=0.6)
    assert found.success.mean() > 0.5
    with Scorer(linear) as scorer:
        sure = scorer.confidence(found.pixels)[np.arange(len(images)), found.targets]
    np.testing.assert_array_equal(found.success, sure >= 0.6)
    assert found.forward_images == found.forward_each.sum()


@pytest.mark.parametrize("sign", [shape for shape in SHAPES if shape != "whole"])
def test_beside_the_board_nothing_changes(
    sign: Any, linear: Classifier, images: Images, labels: Labels
) -> None:
    found = attacked(linear, images, labels, sign=sign, steps=10)
    mask = sign_mask(sign, (1, 6, 6))
    assert (found.pixels[:, :, ~mask] == images[:, :, ~mask]).all()
    assert (found.images_float[:, :, ~mask] * 255 == images[:, :, ~mask]).all()
    assert (found.pixels[:, :, mask] != images[:, :, mask]).any()


def test_a_picture_that_succeeds_is_changed_less_by_the_search(
    linear: Classifier, images: Images, labels: Labels
) -> None:
    """A success lowers c, and a smaller c weighs the change more."""
    options = {"confidence": 0.5, "initial_c": 100.0, "free": 0.0, "sign": "whole"}
    once = attacked(linear, images, labels, search_steps=1, **options)
    more = attacked(linear, images, labels, search_steps=4, **options)
    assert more.success[once.success].all()
    both = once.success
    change = [np.abs(r.pixels.astype(float) - images)[both].sum() for r in (once, more)]
    assert change[1] < 0.9 * change[0]


def test_the_penalty_is_the_gradient_of_its_formula(linear: Classifier, images: Images) -> None:
    attack = SignEmbedding(sign="whole", free=0.1, smooth=0.5)
    with Scorer(linear) as scorer:
        job = Job(scorer, images[:2], None, [1, 1], None, 0)
        search = _Search(attack, job, job.rows(), sign_mask("whole", (1, 6, 6)))

    def cost(d: NDArray[np.float64]) -> float:
        variation = sum(np.abs(np.diff(d, axis=axis)).sum() for axis in (2, 3))
        return float(max(np.abs(d).sum(), 0.1 * 36) + 0.5 * variation)

    rng = np.random.default_rng(1)
    for size in (0.01, 0.5):  # below l and above
        d = rng.uniform(-size, size, (1, 1, 6, 6))
        slope = search._penalty(np.concatenate([d, d]).astype(np.float32))[0, 0]
        for y, x in ((0, 0), (2, 3), (5, 5)):
            step = np.zeros_like(d)
            step[0, 0, y, x] = 1e-6
            difference = (cost(d + step) - cost(d - step)) / 2e-6
            assert slope[y, x] == pytest.approx(difference, abs=1e-4)


def test_a_budget_that_ends_midway(victim: Classifier, images: Images, labels: Labels) -> None:
    with Scorer(victim, budget=400) as scorer:
        found = SignEmbedding(steps=20)(scorer, images, targets=(labels + 1) % 5)
        assert scorer.queries <= 400
    assert not found.complete.any()
    assert (found.pixels != images).any(), "what the first c had found is kept"


def test_a_victim_without_gradients_is_told_of_evolution(
    black_box: Classifier, images: Images
) -> None:
    with Scorer(black_box) as scorer, pytest.raises(UsageError, match="name: sign-evolution"):
        SignEmbedding()(scorer, images, targets=[1] * len(images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sign": "square"}, "sign 'square' is not one of whole, disc"),
        ({"confidence": 1.0}, "confidence must be above 0 and below 1"),
        ({"kappa": -1.0}, "kappa must be 0 or more"),
        ({"search_steps": 0}, "search_steps must be at least 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"free": 1.5}, "free must be"),
        ({"smooth": float("inf")}, "smooth must be"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
    ],
)
def test_bad_parameters(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SignEmbedding(**change)


def test_boards_have_the_shapes_of_signs() -> None:
    masks = {shape: sign_mask(shape, (3, 32, 32)) for shape in SHAPES}  # type: ignore[arg-type]
    assert masks.pop("whole").all()
    for mask in masks.values():
        assert 0.2 < mask.mean() < 0.7
        assert mask[12:20, 14:18].all()
        assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert masks["triangle"][24].sum() > masks["triangle"][8].sum()
    assert masks["yield"][24].sum() < masks["yield"][8].sum()
    with pytest.raises(UsageError, match="set sign: whole"):
        sign_mask("disc", (3, 1, 1))
