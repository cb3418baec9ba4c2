"""Attacks on nets that claim several classes: away from a claim, or towards one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks import FGSM, NES, PGD, CarliniWagner, DeepFool, Rubbish, Square
from evofool.attacks.base import Attack
from evofool.classifiers import Classifier, from_module
from evofool.classifiers.tasks import with_task
from evofool.defenses.victims import BitDepthConfig, defend
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


def test_what_needs_classes_that_exclude_each_other_says_so() -> None:
    scorer = Scorer(victim(), device="cpu")
    with pytest.raises(UsageError, match=r"deepfool is for nets that choose one class.* use fgsm"):
        DeepFool()(scorer, GREY, [1, 1])
    with pytest.raises(UsageError, match="defenses are for nets that choose one"):
        defend(victim(), BitDepthConfig(name="bit-depth", bits=3))
