"""What people get wrong, and budgets that end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.attacks import FGSM, PGD, CarliniWagner, StepLL
from evofool.attacks.gradient.ascent import GradientAscent
from evofool.classifiers import Classifier, from_module
from evofool.errors import BudgetError, ImageError, UsageError
from evofool.images import to_float
from evofool.scoring import Scorer

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0] * 10 + [5], r"labels: 5 is not one of the victim's classes 0\.\.4"),
        ([-1] + [0] * 10, "labels: -1"),
        ([0] * 10, "11 integers"),
        ([0.5] * 11, "integers"),
        (None, "give labels .* or targets"),
    ],
)
def test_labels(
    victim: Classifier, images: Images, make_scorer: MakeScorer, labels: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        FGSM()(make_scorer(victim), images, labels)


def test_targets(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    scorer = make_scorer(victim)
    targets = (labels + 1) % 5
    targets[4] = labels[4]
    with pytest.raises(UsageError, match=f"target {labels[4]} of image 4 is its true class"):
        PGD()(scorer, images, labels, targets=targets)
    with pytest.raises(UsageError, match="step-ll is untargeted"):
        StepLL()(scorer, images, labels, targets=(labels + 1) % 5)
    with pytest.raises(UsageError, match="gradient-ascent is targeted"):
        GradientAscent()(scorer, images, labels)
    assert scorer.queries == 0


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 1, 6, 7), np.uint8), r"\(1, 6, 7\).*\(1, 6, 6\)"),
        (np.zeros((1, 6, 6), np.uint8), "batch"),
        (np.full((2, 1, 6, 6), 1.5, np.float32), "between 0 and 1"),
        (np.full((2, 1, 6, 6), 0.5, np.float32), "to_uint8"),
        (np.full((2, 1, 6, 6), np.nan, np.float32), "between 0 and 1"),
    ],
)
def test_images(victim: Classifier, make_scorer: MakeScorer, images: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        FGSM()(make_scorer(victim), images, [0, 1])


def test_floats_on_the_lattice_are_pictures(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    scorer = make_scorer(victim)
    ours = FGSM()(scorer, images, labels)
    floats = FGSM()(scorer, to_float(images), labels)
    assert np.array_equal(ours.pixels, floats.pixels)


@pytest.mark.parametrize("eps", [0, -1, float("nan"), float("inf")])
def test_eps(eps: float) -> None:
    with pytest.raises(UsageError, match="fgsm: eps must be above 0"):
        FGSM(eps=eps)


@pytest.mark.parametrize("eps", [8, 255, 1e39])
def test_levels_taken_for_fractions(eps: float) -> None:
    for attack in (FGSM, PGD):
        with pytest.raises(UsageError, match="fractions of 1"):
            attack(eps=eps)
    assert PGD(eps=3.0, norm="l2").eps == 3.0


@pytest.mark.parametrize("ids", [[-1] + [0] * 10, [0.5] * 11, [0] * 10])
def test_ids(victim: Classifier, images: Images, make_scorer: MakeScorer, ids: Any) -> None:
    with pytest.raises(UsageError, match="ids"):
        FGSM()(make_scorer(victim), images, [0] * 11, ids=ids)


@pytest.mark.parametrize("budget", range(22, 70, 3))
def test_no_budget_loses_what_there_is(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer, budget: int
) -> None:
    for attack in (
        PGD(eps=0.03, step_size=0.004, steps=3, restarts=3),
        CarliniWagner(steps=3, search_steps=2),
    ):
        scorer = make_scorer(victim, budget=budget)
        result = attack(scorer, images, labels)
        assert scorer.queries <= budget
        assert len(result.predicted) == 11


def test_floats_that_no_budget_was_left_for_are_unfinished(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    whole = FGSM(eps=0.1)(make_scorer(victim), images, labels)
    assert whole.complete.all()
    cut = FGSM(eps=0.1)(make_scorer(victim, budget=25), images, labels)
    assert not cut.complete.all()
    assert np.array_equal(cut.success, whole.success)


def test_a_black_box_has_no_gradients(
    black_box: Classifier, images: Images, make_scorer: MakeScorer
) -> None:
    with pytest.raises(UsageError, match=r"pgd needs gradients.*black-box"):
        PGD()(make_scorer(black_box), images, [0] * 11)


def test_a_budget_that_ends_midway_keeps_what_there_is(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    attack = PGD(eps=0.1, step_size=1 / 255, steps=25)
    whole = attack(make_scorer(victim), images, labels)
    assert whole.complete.all()
    scorer = make_scorer(victim, budget=11 * 8)
    part = attack(scorer, images, labels)
    assert scorer.queries <= 11 * 8
    assert not part.complete.all()
    assert any("budget ended with" in note for note in part.notes)
    assert (part.success <= whole.success).all()
    assert np.array_equal(part.pixels[part.complete], whole.pixels[part.complete])
    assert part.norms.linf.max() > 0
    with pytest.raises(BudgetError, match="judging 11 results"):
        attack(make_scorer(victim, budget=10), images, labels)


def test_vanishing_gradients_are_said(images: Images, make_scorer: MakeScorer) -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(36, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer((x.flatten(1) * 4).round() / 4)

    masked = from_module(Steps().requires_grad_(False), input_shape=(1, 6, 6), name="steps")
    scorer = make_scorer(masked)
    labels = scorer.labels(images)
    for attack in (FGSM(), PGD()):
        result = attack(scorer, images, labels)
        assert any("exactly zero" in note and "black-box" in note for note in result.notes)


def test_no_images(victim: Classifier, make_scorer: MakeScorer) -> None:
    result = PGD()(make_scorer(victim), np.zeros((0, 1, 6, 6), np.uint8), np.zeros(0, np.int64))
    assert len(result) == 0
    assert result.images.shape == (0, 1, 6, 6)
