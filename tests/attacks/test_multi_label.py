"""Attacks on nets that claim several classes: away from a claim, or towards one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks import (
    FGSM,
    JSMA,
    NES,
    PGD,
    CarliniWagner,
    DeepFool,
    IterLL,
    Rubbish,
    SignEmbedding,
    SignEvolution,
    SimplifiedJSMA,
    Square,
    StepLL,
    SubstituteAttack,
)
from evofool.attacks.base import Attack
from evofool.classifiers import Classifier, from_module
from evofool.classifiers.tasks import with_task
from evofool.defenses.victims import (
    BitDepthConfig,
    EnergyConfig,
    MaxSoftmaxConfig,
    adapted,
    defend,
)
from evofool.errors import UsageError
from evofool.scoring import Scorer

GREY = np.full((2, 1, 6, 6), 128, np.uint8)


class Three(nn.Module):
    """Logits of the mean level m: 9 whatever it is, 20 (m - .45), 20 (.45 - m)."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        m = images.mean((1, 2, 3))
        return torch.stack([9 + 0 * m, 20 * (m - 0.45), 20 * (0.45 - m)], 1)


def victim(*, confidences: bool = False) -> Classifier:
    net = nn.Sequential(Three(), nn.Sigmoid()) if confidences else Three()
    output = "probs" if confidences else "logits"
    made = from_module(net, input_shape=(1, 6, 6), output=output, link=None)  # type: ignore[arg-type]
    return with_task(made, "multi-label")


@pytest.mark.parametrize("confidences", [False, True])
@pytest.mark.parametrize(
    "attack",
    [FGSM(eps=0.1), PGD(eps=0.1), Square(eps=0.1), NES(eps=0.1), CarliniWagner(steps=20)],
    ids=lambda attack: attack.name,
)
def test_a_claim_is_withdrawn_or_made_though_another_class_is_surer(
    attack: Attack, confidences: bool
) -> None:
    """By the first class alone no picture of this net could ever count, or every one would."""
    scorer = Scorer(victim(confidences=confidences), device="cpu")
    away = attack(scorer, GREY, [1, 1])
    assert away.success.all()
    assert (away.sought_confidence < 0.5).all()
    assert (away.predicted == 0).all()
    towards = attack(scorer, GREY, targets=[2, 2])
    assert towards.success.all()
    assert (towards.sought_confidence > 0.5).all()
    assert (towards.predicted == 0).all()


def test_what_stays_claimed_is_no_success() -> None:
    scorer = Scorer(victim(), device="cpu")
    weak = PGD(eps=0.02)(scorer, GREY, [1, 1])
    assert not weak.success.any()
    assert (weak.sought_confidence > 0.5).all()
    assert not PGD(eps=0.02)(scorer, GREY, targets=[2, 2]).success.any()
    assert not PGD(eps=0.4)(scorer, GREY, [0, 0]).success.any()  # which nothing changes


def test_noise_that_some_class_is_claimed_for() -> None:
    scorer = Scorer(victim(), device="cpu")
    assert Rubbish()(scorer, GREY).success.all()
    assert not Rubbish(threshold=0.9999)(scorer, GREY).success.any()


@pytest.mark.parametrize("confidences", [False, True])
def test_deepfool_crosses_the_boundary_of_the_claim(confidences: bool) -> None:
    """The net is linear: the nearest picture without the claim has the mean level .45."""
    scorer = Scorer(victim(confidences=confidences), device="cpu")
    away = DeepFool()(scorer, GREY, [1, 1])
    assert away.success.all()
    assert (away.predicted == 0).all()
    nearest = 128 / 255 - 0.45
    assert np.allclose(GREY / 255 - away.images_float, 1.02 * nearest, rtol=0.01)


@pytest.mark.parametrize(
    "attack",
    [
        SimplifiedJSMA(theta=-0.2, gamma=1.0),
        SimplifiedJSMA(theta=-0.2, gamma=1.0, of="logit"),
        SignEmbedding(sign="whole", confidence=0.7, steps=30),
        SignEvolution(sign="whole", confidence=0.7, grid=2, queries=400),
    ],
    ids=lambda attack: attack.name,
)
def test_a_target_is_claimed_whatever_else_is(attack: Attack) -> None:
    scorer = Scorer(victim(), device="cpu")
    towards = attack(scorer, GREY[:1], targets=[2])
    assert towards.success.all()
    assert (towards.sought_confidence > max(0.5, attack.least_confidence)).all()
    assert (towards.predicted == 0).all()


@pytest.mark.parametrize(
    "attack", [JSMA(), StepLL(), IterLL(), SubstituteAttack()], ids=lambda attack: attack.name
)
def test_what_needs_classes_that_exclude_each_other_says_so(attack: Attack) -> None:
    scorer = Scorer(victim(), device="cpu")
    with pytest.raises(UsageError, match=r"is for nets that choose one class.* use fgsm"):
        attack(scorer, GREY, targets=[2, 2]) if attack.aim == "targeted" else attack(
            scorer, GREY, [1, 1]
        )


def test_defenses_in_front_of_the_net() -> None:
    defended = defend(victim(), BitDepthConfig(name="bit-depth", bits=1))
    assert defended.multi_label
    scorer = Scorer(defended, device="cpu")
    pictures = np.array([100, 140], np.uint8)[:, None, None, None] * np.ones((1, 1, 6, 6), np.uint8)
    odds = scorer.score(pictures).log_odds
    assert np.allclose(odds[:, 1], [20 * -0.45, 20 * 0.55], atol=1e-4)  # of black and white
    unaware = PGD(eps=0.1)(scorer, pictures[1:], [1])
    assert not unaware.success.any()
    known = adapted(defended)
    assert known is not None
    assert PGD(eps=0.1)(Scorer(known, device="cpu"), pictures[1:], [1]).success.all()


@pytest.mark.parametrize(
    "config",
    [MaxSoftmaxConfig(name="max-softmax", threshold=1), EnergyConfig(name="energy", threshold=1)],
)
def test_a_rejection_would_exclude_the_other_classes(config: Any) -> None:
    with pytest.raises(UsageError, match=r"excludes all others.* use a defense in front"):
        defend(victim(), config)
