"""FGSM and its kin, worked out by hand on a linear victim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.attacks import FGSM, RFGSM, Attack, RStepLL, StepLL
from evofool.classifiers import Classifier
from evofool.errors import UsageError
from evofool.images import to_float
from evofool.scoring import Scorer

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]
EPS = 8 / 255


def probabilities(images: NDArray[Any], matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    z = to_float(images).reshape(len(images), -1).astype(np.float64) @ matrix.T.astype(np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_fgsm_is_its_formula(
    linear: Classifier, matrix: NDArray[np.float32], images: Images, make_scorer: MakeScorer
) -> None:
    p = probabilities(images, matrix)
    labels = p.argmax(axis=1)
    # d(-log p_y)/dx = sum_c p_c w_c - w_y
    slope = p @ matrix - matrix[labels]
    expected = to_float(images) + np.float32(EPS) * np.sign(slope).reshape(images.shape)
    result = FGSM(eps=EPS)(make_scorer(linear, batch=4), images, labels)
    assert result.images_float == pytest.approx(np.clip(expected, 0, 1), abs=1e-7)
    assert np.array_equal(result.predicted, probabilities(result.pixels, matrix).argmax(axis=1))
    assert np.array_equal(result.success, result.predicted != labels)


def test_targeted_fgsm_goes_the_other_way(
    linear: Classifier, matrix: NDArray[np.float32], images: Images, make_scorer: MakeScorer
) -> None:
    p = probabilities(images, matrix)
    targets = p.argmin(axis=1)
    slope = matrix[targets] - p @ matrix
    expected = to_float(images) + np.float32(EPS) * np.sign(slope).reshape(images.shape)
    scorer = make_scorer(linear)
    result = FGSM(eps=EPS)(scorer, images, targets=targets)
    assert result.images_float == pytest.approx(expected, abs=1e-7)
    # which is what Step-LL does, judged by another rule
    labels = p.argmax(axis=1)
    step = StepLL(eps=EPS)(scorer, images, labels)
    assert np.array_equal(step.images_float, result.images_float)
    assert np.array_equal(step.success, step.predicted != labels)
    assert np.array_equal(result.success, result.predicted == targets)


def test_one_forward_and_one_backward_each(
    victim: Classifier, images: Images, labels: NDArray[np.int64], make_scorer: MakeScorer
) -> None:
    for attack in (FGSM(eps=EPS), StepLL(eps=EPS), RFGSM(eps=EPS), RStepLL(eps=EPS)):
        scorer = make_scorer(victim)
        result = attack(scorer, images, labels)
        assert (result.forward_images, result.backward_images) == (11, 11)
        assert scorer.backward_images == 11
        assert scorer.forward_images == 11 + result.verify_forward_images
        if attack.name in ("fgsm", "step-ll"):  # whole levels: the floats are the picture
            assert result.verify_forward_images == 11


def test_an_eps_off_the_lattice_is_reported_and_both_are_judged(
    victim: Classifier, images: Images, labels: NDArray[np.int64], make_scorer: MakeScorer
) -> None:
    result = FGSM(eps=0.007)(make_scorer(victim), images, labels)
    assert (result.eps, result.effective_eps) == (0.007, 1 / 255)
    assert result.norms.linf.max() == pytest.approx(1 / 255)
    assert result.norms_float.linf.max() == pytest.approx(0.007, abs=1e-6)
    assert result.verify_forward_images == 22
    small = FGSM(eps=0.003)(make_scorer(victim), images, labels)
    assert np.array_equal(small.pixels, images)
    assert small.effective_eps == 0
    assert "below one level" in small.notes[0]


@pytest.mark.parametrize("kind", [RFGSM, RStepLL])
def test_the_random_step(
    kind: type[Attack],
    victim: Classifier,
    images: Images,
    labels: NDArray[np.int64],
    make_scorer: MakeScorer,
) -> None:
    scorer = make_scorer(victim)
    attack = kind(eps=16 / 255, alpha=6 / 255, seed=1)  # type: ignore[call-arg]
    result = attack(scorer, images, labels)
    moved = np.rint((result.images_float - to_float(images)) * 255)
    # the two steps add up or work against each other; pictures have room on both sides
    assert set(np.unique(moved).tolist()) == {-16, -4, 4, 16}
    again = attack(scorer, images, labels)
    assert np.array_equal(again.images_float, result.images_float)
    other = kind(eps=16 / 255, alpha=6 / 255, seed=2)(scorer, images, labels)  # type: ignore[call-arg]
    assert not np.array_equal(other.images_float, result.images_float)
    # an image's draws follow its id, not its place in the batch
    some = attack(scorer, images[4:6], labels[4:6], ids=[4, 5])
    assert some.images_float == pytest.approx(result.images_float[4:6], abs=1e-6)
    half = kind(eps=16 / 255)(scorer, images, labels)  # type: ignore[call-arg]
    assert set(np.unique(np.rint((half.images_float - to_float(images)) * 255))) == {-16, 0, 16}


@pytest.mark.parametrize("alpha", [-0.1, 0.1, 0.2, float("nan")])
def test_a_random_part_outside_the_ball(alpha: float) -> None:
    with pytest.raises(UsageError, match="alpha"):
        RFGSM(eps=0.1, alpha=alpha)
