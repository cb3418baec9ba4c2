"""The substitute attack: labels alone, every query counted, Algorithm 1 by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.attacks import (
    FGSM,
    PGD,
    GradientAscent,
    OnePixel,
    Rubbish,
    StepLL,
    SubstituteAttack,
    SubstituteSettings,
    train_substitute,
)
from evofool.attacks.substitute.learning import ARCHITECTURES, augmented
from evofool.attacks.substitute.nets import build_net
from evofool.classifiers import Classifier, from_module, from_predict
from evofool.data import load_dataset
from evofool.errors import BudgetError, ImageError, ScoringError, UsageError
from evofool.scoring import Scorer

SHAPE = (1, 8, 8)
Images = NDArray[np.uint8]
QUICK = SubstituteSettings(rounds=3, architecture="mlp", epochs=5, reservoir_size=7, seed=1)


class Halves:
    """Label 1 if the right half is the brighter one. Says labels alone; counts and remembers."""

    def __init__(self) -> None:
        self.asked: list[Images] = []

    def __call__(self, images: Images) -> NDArray[np.int64]:
        self.asked.extend(images.copy())
        levels = images.astype(np.int64)
        labels: NDArray[np.int64] = (
            levels[..., 4:].sum(axis=(1, 2, 3)) > levels[..., :4].sum(axis=(1, 2, 3))
        ).astype(np.int64)
        return labels

    def victim(self) -> Classifier:
        found = from_predict(
            self, input_shape=SHAPE, output="label", labels=["left", "right"], name="halves"
        )
        self.asked.clear()
        return found


def pictures(count: int, seed: int = 0) -> Images:
    """Half of them brighter on the left, by about 40 levels."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 150, (count, *SHAPE)).astype(np.int64)
    for i, image in enumerate(found):
        image[..., 4 * (i % 2) : 4 * (i % 2) + 4] += 40
    return found.astype(np.uint8)


def linear(weights: NDArray[np.float64]) -> Classifier:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.from_numpy(np.stack([-weights, weights])))
        net[1].bias.zero_()
    return from_module(net, input_shape=SHAPE, name="linear")


def test_augmentation_by_hand() -> None:
    """Of a linear net the sign of the Jacobian is that of the weights, whatever the image."""
    weights = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 64)
    weights[0] = 1.0
    points = pictures(5)
    labels = np.array([0, 1, 1, 0, 1])
    for turn, levels in ((0, 25), (2, 25), (3, -25), (6, 25)):
        settings = SubstituteSettings(step=0.1, period=3, reservoir_after=None)
        found = augmented(linear(weights), settings, turn, points, labels)
        way = np.where(labels == 1, 1, -1)[:, None] * weights  # both logits: +-w, so is p_c
        by_hand = np.clip(points.reshape(5, 64) + levels * way, 0, 255)
        assert (found.reshape(5, 64) == by_hand).all()
    same = dataclasses.replace(settings, period=None)
    assert [same.step_of(i) for i in range(7)] == [25] * 7


def test_the_reservoir() -> None:
    settings = SubstituteSettings(reservoir_after=3, reservoir_size=40)
    assert settings.chosen(2, 100).tolist() == list(range(100))
    third, fourth = settings.chosen(3, 100), settings.chosen(4, 100)
    assert len(set(third.tolist())) == 40
    assert not np.array_equal(third, fourth)
    assert settings.chosen(3, 30).tolist() == list(range(30))
    counts = np.zeros(50)
    for seed in range(400):
        counts[SubstituteSettings(seed=seed, reservoir_size=10).chosen(5, 50)] += 1
    assert counts.sum() == 4000
    assert abs(counts - 80).max() < 5 * math.sqrt(400 * 0.2 * 0.8)


def test_algorithm_1_asks_each_new_point_once() -> None:
    box = Halves()
    settings = dataclasses.replace(QUICK, reservoir_after=1)
    start = pictures(10)
    with Scorer(box.victim()) as scorer:
        taught = train_substitute(scorer, start, settings)
        assert scorer.queries == len(box.asked) == taught.queries == 10 + 10 + 7
    assert taught.complete
    assert taught.evaluation_queries == 0
    assert [r.points for r in taught.rounds] == [10, 20, 27]
    assert [r.queries for r in taught.rounds] == [10, 20, 27]
    assert (np.stack(box.asked) == taught.points).all()
    assert len({point.tobytes() for point in taught.points}) == 27
    assert (taught.points[:10] == start).all()
    assert (taught.labels == box(taught.points)).all()
    step = np.abs(taught.points[10:20].astype(int) - start)
    assert step.max() == 25
    assert all(math.isnan(r.agreement) for r in taught.rounds)
    assert [math.isnan(r.agreement_ahead) for r in taught.rounds] == [False, False, True]


def test_equal_points_are_asked_once() -> None:
    box = Halves()
    settings = dataclasses.replace(QUICK, rounds=1)
    with Scorer(box.victim()) as scorer:
        taught = train_substitute(scorer, np.repeat(pictures(4), 3, axis=0), settings)
    assert len(box.asked) == taught.queries == 4


def test_it_learns_and_measures_agreement_apart() -> None:
    box = Halves()
    exam = pictures(200, seed=9)
    settings = dataclasses.replace(QUICK, epochs=30)
    with Scorer(box.victim()) as scorer:
        taught = train_substitute(scorer, pictures(60), settings, evaluation=exam)
        assert scorer.queries == taught.queries + taught.evaluation_queries == len(box.asked)
    assert taught.evaluation_queries == 200
    assert taught.rounds[-1].agreement > 0.9
    with Scorer(taught.classifier) as own:
        assert taught.rounds[-1].agreement == (own.labels(exam) == box(exam)).mean()


def test_the_same_seed_gives_the_same_net() -> None:
    digests = []
    for seed in (1, 1, 2):
        with Scorer(Halves().victim()) as scorer:
            settings = dataclasses.replace(QUICK, seed=seed)
            digests.append(train_substitute(scorer, pictures(12), settings).classifier.digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("budget", "points"),
    [(40, 40), (39, 39), (25, 25), (20, 20), (3, 3)],
)
def test_a_budget_that_ends_midway_trains_on_what_it_bought(budget: int, points: int) -> None:
    with Scorer(Halves().victim(), budget=budget) as scorer:
        settings = dataclasses.replace(QUICK, reservoir_after=None)
        taught = train_substitute(scorer, pictures(10), settings)
    assert taught.queries == scorer.queries == points
    assert taught.complete == (budget == 40)


def test_no_budget_at_all() -> None:
    with Scorer(Halves().victim(), budget=5) as scorer:
        with pytest.raises(BudgetError, match="too small for 6 evaluation images"):
            train_substitute(scorer, pictures(4), QUICK, evaluation=pictures(6))
        with pytest.raises(BudgetError, match="leaves nothing for labelling"):
            train_substitute(scorer, pictures(4), QUICK, reserve=5)
        assert scorer.queries == 0


def test_points_without_scores_teach_nothing_and_cost_a_query() -> None:
    halves = Halves()

    def scores(images: Images) -> NDArray[np.float64]:
        found = np.eye(2)[halves(images)]
        found[images[:, 0, 0, 0] % 3 == 1] = np.nan
        return found

    victim = from_predict(scores, input_shape=SHAPE, name="halves", probe="none", labels=["l", "r"])
    start = pictures(20)
    with Scorer(victim) as scorer:
        found = train_substitute(scorer, start, QUICK)
        assert scorer.queries == found.queries == len(halves.asked) > len(found.points)
    assert not (found.points[:, 0, 0, 0] % 3 == 1).any()
    assert found.labels.tolist() == Halves()(found.points).tolist()
    nothing = start.copy()
    nothing[:, 0, 0, 0] = 1
    with Scorer(victim) as scorer, pytest.raises(ScoringError, match="any of 20 points"):
        train_substitute(scorer, nothing, QUICK)


def test_bad_images() -> None:
    with Scorer(Halves().victim()) as scorer:
        with pytest.raises(ImageError, match="is needed"):
            train_substitute(scorer, np.zeros((3, 1, 4, 4), np.uint8), QUICK)
        with pytest.raises(UsageError, match="no images to start from"):
            train_substitute(scorer, pictures(0), QUICK)


def attack(**changes: object) -> SubstituteAttack:
    own = {f.name: getattr(QUICK, f.name) for f in dataclasses.fields(QUICK)}
    return SubstituteAttack(**{**own, "inner": FGSM(eps=0.4), **changes})  # type: ignore[arg-type]


def test_the_attack_counts_what_the_victim_counts() -> None:
    box = Halves()
    victim = box.victim()
    images = pictures(30, seed=4)
    labels = box(images)
    box.asked.clear()
    with Scorer(victim) as scorer:
        found = attack(epochs=30, start_images=pictures(80), initial=60)(scorer, images, labels)
        assert scorer.queries == len(box.asked)
    assert found.forward_shared == found.forward_images == len(box.asked) - 30
    assert found.verify_forward_images == 30
    assert found.forward_each.sum() == found.backward_images == 0
    assert found.eps == 0.4
    assert (found.norms.linf <= 0.4).all()
    assert (found.success == (box(found.pixels) != labels)).all()
    assert found.success.mean() > 0.8
    assert np.isnan(found.confidence).all()
    assert (np.stack(box.asked[:60]) == pictures(80)[:60]).all()


def test_by_default_it_starts_from_the_images_of_the_call() -> None:
    box = Halves()
    victim = box.victim()
    images = pictures(9)
    with Scorer(victim) as scorer:
        attack(initial=4)(scorer, images, [0, 1] * 4 + [0])
    assert (np.stack(box.asked[:4]) == images[:4]).all()
    assert len(box.asked) == 16 + 9


def test_an_existing_net_costs_only_the_judging() -> None:
    weights = np.tile(np.repeat([-1.0, 1.0], 4), 8)
    box = Halves()
    victim = box.victim()
    images = pictures(20, seed=4)
    with Scorer(victim) as scorer:
        found = SubstituteAttack(substitute=linear(weights), inner=FGSM(eps=0.5))(
            scorer, images, [0, 1] * 10
        )
        assert scorer.queries == len(box.asked) == 20 == found.verify_forward_images
        assert found.forward_images == 0
    assert found.success.all()
    with Scorer(victim) as scorer:
        found = SubstituteAttack(substitute=linear(weights), inner=PGD(eps=0.5))(
            scorer, images, targets=[1, 0] * 10
        )
    assert (found.success == (found.predicted == [1, 0] * 10)).all()


@pytest.mark.parametrize("budget", [33, 25, 20])
def test_a_budget_that_ends_midway_is_said_and_results_are_judged(budget: int) -> None:
    box = Halves()
    with Scorer(box.victim(), budget=budget) as scorer:
        found = attack(start_images=pictures(12, seed=3))(scorer, pictures(20), [0, 1] * 10)
        assert scorer.queries == len(box.asked) == budget
    assert not found.complete.any()
    assert any("budget ended" in note for note in found.notes)
    assert (found.pixels == pictures(20)).all() == (budget == 20)


def test_a_substitute_for_other_images_is_refused() -> None:
    other = from_module(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), input_shape=SHAPE, name="three"
    )
    with (
        Scorer(Halves().victim()) as scorer,
        pytest.raises(UsageError, match=r"three has classes: 3, but the victim halves has 2"),
    ):
        SubstituteAttack(substitute=other)(scorer, pictures(2), [0, 1])


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(1, 3, 3), (3, 33, 20), (1, 28, 28)])
def test_nets_take_any_shape(name: str, shape: tuple[int, int, int]) -> None:
    net = build_net(name, shape, 4)
    assert net(torch.zeros(2, *shape)).shape == (2, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 0},
        {"step": 0.003},
        {"step": float("nan")},
        {"period": 0},
        {"reservoir_after": 0},
        {"reservoir_size": 0},
        {"architecture": "vgg"},
        {"epochs": 0},
        {"lr": 0.0},
        {"batch": 0},
        {"shift": 9},
        {"initial": 0},
        {"seed": -1},
    ],
)
def test_bad_parameters(change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"substitute: {next(iter(change))}"):
        SubstituteAttack(**change)  # type: ignore[arg-type]


def test_an_inner_attack_that_needs_none_of_the_substitute_s_gradients() -> None:
    """A query attack on a net of one's own is free of queries to the victim."""
    weights = np.tile(np.repeat([-1.0, 1.0], 4), 8)
    box = Halves()
    inner = OnePixel(pixels=3, population=8, generations=2)
    with Scorer(box.victim()) as scorer:
        found = SubstituteAttack(substitute=linear(weights), inner=inner)(
            scorer, pictures(4), [0, 1] * 2
        )
        assert scorer.queries == 4
    assert found.eps is None
    assert (found.norms.l0 <= 3).all()


def test_an_inner_attack_that_does_not_fit_costs_no_query() -> None:
    box = Halves()
    with Scorer(box.victim()) as scorer:
        with pytest.raises(UsageError, match="step-ll is untargeted"):
            attack(inner=StepLL())(scorer, pictures(4), targets=[1, 0] * 2)
        with pytest.raises(UsageError, match="gradient-ascent is targeted"):
            attack(inner=GradientAscent())(scorer, pictures(4), [0, 1] * 2)
    assert not box.asked
    with pytest.raises(UsageError, match="inner cannot be rubbish"):
        attack(inner=Rubbish())


def test_digits() -> None:
    """On the bundled LeNet, by labels alone, a quick substitute already transfers."""
    from evofool.classifiers import load_classifier

    sample = load_dataset("mnist-sample", "test")
    lenet = load_classifier("mnist-lenet")
    with Scorer(lenet) as scorer:
        asked = scorer.labels
        oracle = from_predict(
            lambda x: asked(x), input_shape=(1, 28, 28), output="label", labels=lenet.labels
        )
        # sorted by class: take every other one
        order = np.concatenate([np.arange(0, len(sample), 2), np.arange(1, len(sample), 2)])
        images, labels, half = sample.images[order], sample.labels[order], len(sample) // 2
        settings = SubstituteSettings(rounds=3, architecture="mlp", epochs=8)
        with Scorer(oracle) as counted:
            taught = train_substitute(counted, images[:half], settings, evaluation=images[half:])
            found = SubstituteAttack(substitute=taught.classifier)(
                counted, images[half:], labels[half:]
            )
    assert taught.rounds[-1].agreement > 0.4
    assert found.success.mean() > 0.1
