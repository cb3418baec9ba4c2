"""What the page of an evaluation draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.defenses.victims import JpegConfig, defend
from evofool.experiments.curves import Curve
from evofool.experiments.works.answers import AnswerRow, answers
from evofool.experiments.works.first_layer import first_filters
from evofool.experiments.works.surface import SIDE, all_right, loss_surface, orthogonal_signs
from evofool.randomness import Stream, generator
from evofool.scoring import Scorer


def make(net: Classifier) -> Scorer:
    return Scorer(net, engine="torch", batch=64, workers=1)


class Mean(nn.Module):
    """Two classes by the mean: the gradient has one sign everywhere."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        lead = 4 * (images.flatten(1).mean(1) - 0.5)
        return torch.stack([-lead, lead], 1)


@pytest.mark.parametrize("odd", [0, 1])
def test_the_other_direction_is_orthogonal(odd: int) -> None:
    rng = np.random.default_rng(odd)
    signs = rng.choice(np.array([-1, 1], np.float32), (1, 5, 6))
    signs[0, 0, : 3 + odd] = 0  # 27 or 26 that count
    found = orthogonal_signs(signs, seed=1, row=2)
    assert (found * signs).sum() == 0
    assert set(np.unique(found)) <= {-1.0, 0.0, 1.0}
    assert (found == 0).sum() <= 1
    assert not np.array_equal(found, orthogonal_signs(signs, seed=1, row=3))


def test_the_other_direction_has_draws_of_its_own() -> None:
    """Those of (CHOICE, 2) choose the pictures that a denoiser learns from."""
    other = generator(1, Stream.CHOICE, 2, 0)
    drawn = other.choice(np.array([-1, 1], np.float32), (1, 28, 28))
    zeros = np.zeros((1, 28, 28), np.float32)  # so that nothing but the draw is seen
    assert not np.array_equal(orthogonal_signs(zeros, seed=1, row=0), drawn)


def test_a_loss_surface_rises_along_the_gradient_alone() -> None:
    net = from_module(Mean(), input_shape=(1, 4, 4), name="mean")
    image = np.full((1, 4, 4), 140, np.uint8)
    with make(net) as scorer:
        surface = loss_surface(
            scorer, net, image, 1, 0.1, lambda signs: orthogonal_signs(signs, 1, 0)
        )
    assert surface.shape == (SIDE, SIDE)
    assert (np.diff(surface, axis=1) > 0).all()
    assert surface == pytest.approx(surface[:1].repeat(SIDE, 0), abs=1e-5)
    # the middle is the picture itself: lead 4 (140/255 - .5), twice that between the classes
    odds = 8 * (140 / 255 - 0.5)
    assert surface[SIDE // 2, SIDE // 2] == pytest.approx(np.log1p(np.exp(-odds)), abs=1e-5)


def test_only_pictures_that_all_nets_get_right_are_shown() -> None:
    net = from_module(Mean(), input_shape=(1, 4, 4), name="mean")
    images = np.stack([np.full((1, 4, 4), level, np.uint8) for level in (10, 200, 20, 210)])
    labels = np.array([1, 1, 0, 0])
    with make(net) as scorer:
        own = list(answers(scorer, images, labels))
    assert all_right([own], 8) == [1, 2]
    assert all_right([own], 1) == [1]
    other = [AnswerRow(k, int(label), 0, 0.9) for k, label in enumerate(labels)]
    assert all_right([own, other], 8) == [2]
    none = [AnswerRow(k, 0, 1, 0.9) for k in range(4)]
    assert all_right([own, none], 3) == [0, 1, 2]


def test_first_layers() -> None:
    lenet = load_classifier("mnist-lenet")
    filters = first_filters(lenet)
    assert filters is not None
    assert filters.shape == (20, 1, 5, 5)
    behind = first_filters(defend(lenet, JpegConfig(name="jpeg")))
    assert np.array_equal(filters, behind)  # type: ignore[arg-type]
    flat = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    dense = first_filters(from_module(flat, input_shape=(1, 4, 4), name="flat"))
    assert dense is not None
    assert dense.shape == (3, 1, 4, 4)
    assert first_filters(from_module(Mean(), input_shape=(1, 4, 4), name="mean")) is None


def test_curves_have_the_median_and_an_interval_around_it() -> None:
    confidence = np.array([[0.1, 0.2], [0.3, 0.9], [0.2, 0.4]])
    curve = Curve("defended", "cppn", (1, 2, 3), np.array([10, 20]), confidence)
    assert curve.median.tolist() == [0.2, 0.4]
    low, high = curve.interval()
    assert low.tolist() == [0.1, 0.2]
    assert high.tolist() == [0.3, 0.9]
    alone = Curve("defended", "cppn", (1,), np.array([10, 20]), confidence[:1])
    assert alone.interval()[0].tolist() == alone.interval()[1].tolist() == [0.1, 0.2]
