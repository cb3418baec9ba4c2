"""Detectors, the reject class, and attacks that know of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks import FGSM, PGD, CarliniWagner, Square
from evofool.attacks.gradient.losses import Goal
from evofool.classifiers import Classifier, from_module
from evofool.defenses.detectors import Energy, MaxSoftmax, Rejecting, threshold_for
from evofool.defenses.victims import EnergyConfig, MaxSoftmaxConfig, defend
from evofool.errors import UsageError
from evofool.scoring import Scorer

SHAPE = (1, 6, 6)


@pytest.fixture(scope="module")
def base() -> Classifier:
    """A confident little net."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, 5))
    net[-1].weight.data *= 12
    return from_module(net.requires_grad_(False), input_shape=SHAPE, name="sure")


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Noise."""
    return np.random.default_rng(1).integers(0, 256, (200, *SHAPE), dtype=np.uint8)


def test_scores_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    p = np.exp(2) / (np.exp(2) + 2)
    assert MaxSoftmax().score(logits).numpy() == pytest.approx(
        [np.log(p / (1 - p)), np.log(1 / 2)], abs=1e-6
    )
    assert Energy().score(logits).numpy() == pytest.approx([np.log(np.exp(2) + 2), np.log(3)])
    assert Energy(2.0).score(logits)[0] == pytest.approx(2 * np.log(np.exp(1) + 2))


@pytest.mark.parametrize("config", [MaxSoftmaxConfig, EnergyConfig])
def test_it_rejects_exactly_below_the_threshold(
    config: type, base: Classifier, pictures: np.ndarray
) -> None:
    detector = MaxSoftmax() if config is MaxSoftmaxConfig else Energy()
    with Scorer(base, engine="torch") as scorer:
        logits = torch.from_numpy(scorer.logits(pictures))
    scores = detector.score(logits).numpy()
    threshold = threshold_for(scores, 0.25)
    assert (scores < threshold).mean() == pytest.approx(0.25, abs=0.01)
    name = "max-softmax" if config is MaxSoftmaxConfig else "energy"
    victim = defend(base, config(name=name, threshold=threshold))
    assert (victim.n_classes, victim.reject, victim.labels[-1]) == (6, 5, "rejected")
    assert victim.digest != base.digest
    with Scorer(victim) as scorer:
        answers = scorer.labels(pictures)
        confidence = scorer.confidence(pictures)
    assert np.array_equal(answers == 5, scores < threshold)
    kept = answers != 5
    assert np.array_equal(answers[kept], logits.argmax(1).numpy()[kept])
    sure = scores > threshold + 1
    plain = logits.softmax(1).numpy()
    assert confidence[sure][:, :5] == pytest.approx(plain[sure], abs=1e-3)


def test_being_rejected_is_no_success() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    plain = from_module(net.requires_grad_(False), input_shape=SHAPE, name="three")
    victim = defend(plain, MaxSoftmaxConfig(name="max-softmax", threshold=0.0))
    rows = np.arange(3)
    goal = Goal(victim, np.array([0, 0, 0]), np.full(3, -1))
    assert goal.success(np.array([0, 3, 1]), rows).tolist() == [False, False, True]
    outputs = torch.tensor([[5.0, 1, 0, 2], [1, 5, 0, 9], [1, 5, 0, 2]])
    index = torch.arange(3)
    assert goal.fooled(outputs, index).tolist() == [False, False, True]
    assert goal.margin(outputs, index).tolist() == [-4, -4, 3]
    # on the way, the rejection is no wall: rejected with the lead won counts for more
    climb = goal.climb(outputs, index).tolist()
    assert climb == [-4, 0, 4]


def test_an_attack_walks_through_the_rejection(base: Classifier, pictures: np.ndarray) -> None:
    victim = defend(base, MaxSoftmaxConfig(name="max-softmax", threshold=2.0))
    with Scorer(victim) as scorer:
        labels = scorer.labels(pictures)
        kept = labels != victim.reject
        images, labels = pictures[kept][:40], labels[kept][:40]
        result = PGD(eps=0.5, step_size=0.04, steps=60, loss="margin")(scorer, images, labels)
        naive = FGSM(eps=0.05)(scorer, images, labels)
    assert (result.predicted[result.success] != victim.reject).all()
    assert result.success.mean() > 0.9
    assert not naive.success[naive.predicted == victim.reject].any()


def test_all_who_climb_know_of_the_rejection(base: Classifier, pictures: np.ndarray) -> None:
    victim = defend(base, MaxSoftmaxConfig(name="max-softmax", threshold=2.0))
    with Scorer(victim) as scorer:
        labels = scorer.labels(pictures)
        kept = labels != victim.reject
        images, labels = pictures[kept][:10], labels[kept][:10]
        for attack in (
            Square(eps=0.5, queries=300),
            CarliniWagner(),
            PGD(eps=0.5, step_size=0.04, steps=40, loss="margin"),
        ):
            result = attack(scorer, images, labels)
            assert result.success.mean() >= 0.6, attack.name
            assert (result.predicted[result.success] != victim.reject).all()
        with pytest.raises(UsageError, match='means "no answer"'):
            PGD()(scorer, images, np.full(10, victim.reject))
        with pytest.raises(UsageError, match='means "no answer"'):
            PGD()(scorer, images, targets=np.full(10, victim.reject))


def test_what_cannot_be_defended_so(base: Classifier) -> None:
    sigmoid = from_module(
        nn.Sequential(nn.Flatten(), nn.Linear(36, 5)), input_shape=SHAPE, name="sig", link="sigmoid"
    )
    soft = from_module(
        nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.Softmax(1)),
        input_shape=SHAPE,
        name="p",
        output="probs",
    )
    config = EnergyConfig(name="energy", threshold=0.0)
    for victim in (sigmoid, soft):
        with pytest.raises(UsageError, match="needs softmax logits"):
            defend(victim, config)
    with pytest.raises(UsageError, match="already has a reject option"):
        defend(defend(base, config), config)
    with pytest.raises(UsageError, match="temperature"):
        Energy(0)


def test_thresholds() -> None:
    assert threshold_for(np.arange(100.0), 0.05) == pytest.approx(4.95)
    with pytest.raises(UsageError, match="at least 20"):
        threshold_for(np.arange(10.0), 0.05)
    with pytest.raises(UsageError, match="above 0 and below 1"):
        threshold_for(np.arange(10.0), 1.0)
    assert Rejecting(nn.Identity(), Energy(), 1.0).sharpness == 10
