"""Gradient ascent to a class, and noise that is taken for something."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.attacks.gradient.ascent import SETTINGS, GradientAscent, blurred
from evofool.attacks.gradient.rubbish import Rubbish
from evofool.attacks.query.noise import noise_images
from evofool.classifiers import Classifier, load_classifier
from evofool.errors import UsageError
from evofool.scoring import Scorer

MakeScorer = Callable[..., Scorer]


@pytest.mark.parametrize("kind", ["uniform", "dim", "grey"])
def test_every_digit_from_noise(kind: str, make_scorer: MakeScorer) -> None:
    scorer = make_scorer(load_classifier("mnist-lenet"))
    start = noise_images(kind, (1, 28, 28), 10, 1)  # type: ignore[arg-type]
    result = GradientAscent()(scorer, start, targets=np.arange(10))
    assert result.success.all()
    again = scorer.confidence(result.pixels)[np.arange(10), np.arange(10)]
    assert (again >= 0.99).all()
    assert again == pytest.approx(result.sought_confidence)
    assert (result.forward_each == result.backward_each + 1).all()


@pytest.mark.parametrize("confidence", [0.05, 0.3])
def test_sure_of_it_is_not_enough_without_first_place(
    confidence: float, linear: Classifier, images: NDArray[np.uint8], make_scorer: MakeScorer
) -> None:
    scorer = make_scorer(linear)
    targets = scorer.score(images).log_odds.argsort(axis=1)[:, 0]  # the least likely
    result = GradientAscent(confidence=confidence)(scorer, images, targets=targets)
    assert result.success.all()
    assert np.array_equal(result.predicted, targets)


@pytest.mark.parametrize("setting", list(SETTINGS))
def test_published_settings_climb(setting: str, make_scorer: MakeScorer) -> None:
    scorer = make_scorer(load_classifier("mnist-lenet"))
    start = noise_images("dim", (1, 28, 28), 4, 1)
    before = scorer.confidence(start)[np.arange(4), np.arange(4)]
    # a claim for a class that has no chance from the start is not what this is about
    result = GradientAscent(setting=setting, steps=60)(scorer, start, targets=np.arange(4))
    assert (result.sought_confidence > before).mean() >= 0.75
    assert np.median(result.sought_confidence) > 0.3
    assert (result.backward_each <= 60).all()


def test_a_step_of_the_published_rule_gains_what_it_aims_at(
    make_scorer: MakeScorer, linear: Classifier, images: NDArray[np.uint8]
) -> None:
    scorer = make_scorer(linear)
    targets = scorer.score(images).log_odds.argsort(axis=1)[:, -2]  # the second best
    before = scorer.confidence(images)[np.arange(11), targets]
    result = GradientAscent(setting="nguyen-1", steps=1)(scorer, images, targets=targets)
    after = scorer.confidence(result.images_float)[np.arange(11), targets]
    aimed = np.minimum(0.02, 0.1 * (1 - before))
    straight = before > 0.05  # below, p bends too much for a linear step
    assert straight.sum() > 3
    assert (after - before)[straight] == pytest.approx(aimed[straight], rel=0.35)


def test_blur_against_its_definition() -> None:
    images = np.random.default_rng(0).random((2, 3, 9, 7)).astype(np.float32)
    sigma, radius = 0.8, 3
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    padded = np.pad(
        images.astype(np.float64), ((0, 0), (0, 0), (radius,) * 2, (radius,) * 2), "symmetric"
    )
    expected = np.zeros(images.shape)
    for i in range(2 * radius + 1):
        for j in range(2 * radius + 1):
            expected += taps[i] * taps[j] * padded[:, :, i : i + 9, j : j + 7]
    assert blurred(images, sigma) == pytest.approx(expected, abs=1e-6)


def test_noise_is_keyed_by_its_number() -> None:
    for kind in ("normal", "uniform", "dim", "grey"):
        many = noise_images(kind, (3, 5, 5), 6, 2)  # type: ignore[arg-type]
        assert np.array_equal(many[:3], noise_images(kind, (3, 5, 5), 3, 2))  # type: ignore[arg-type]
    assert noise_images("dim", (1, 100, 100), 1).std() == pytest.approx(10, rel=0.05)
    normal = noise_images("normal", (1, 100, 100), 1)
    assert (normal == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert (normal == 255).mean() == pytest.approx(0.159, abs=0.02)
    with pytest.raises(UsageError, match="noise 'pink'"):
        noise_images("pink", (1, 2, 2), 1)  # type: ignore[arg-type]


def test_rubbish_counts_claims_and_costs_nothing_but_a_look(make_scorer: MakeScorer) -> None:
    scorer = make_scorer(load_classifier("mnist-lenet"))
    noise = noise_images("normal", (1, 28, 28), 50)
    result = Rubbish(threshold=0.9)(scorer, noise)
    assert np.array_equal(result.success, scorer.confidence(noise).max(axis=1) >= 0.9)
    assert result.success.any()
    assert not result.success.all()
    assert (result.forward_images, result.verify_forward_images) == (0, 50)
    assert np.array_equal(result.pixels, noise)


def test_parameters() -> None:
    for wrong in (
        {"setting": "nguyen-9"},
        {"confidence": 1.0},
        {"confidence": 0.0},
        {"steps": 0},
        {"step_size": 0.0},
    ):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            GradientAscent(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threshold"):
        Rubbish(threshold=1.0)
