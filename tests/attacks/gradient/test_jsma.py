"""JSMA: the pair rule against a step-by-step reference, limits, signs, the cheap variant."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.attacks import JSMA, SimplifiedJSMA
from evofool.attacks.gradient.losses import SLACK
from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.data import load_dataset
from evofool.errors import UsageError
from evofool.scoring import Scorer

SHAPE = (1, 6, 6)
CLASSES = 5
Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, CLASSES)
    ).requires_grad_(False)


@pytest.fixture(scope="module")
def victim(net: nn.Module) -> Classifier:
    return from_module(net, input_shape=SHAPE, name="tiny")


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(3).integers(0, 256, (8, *SHAPE), dtype=np.uint8)


def reference(
    net: nn.Module, image: Images, target: int, theta: float, gamma: float
) -> NDArray[np.float64]:
    """Algorithm 3 with all pairs, in float64."""
    exact = nn.Sequential(*[type(m)(*a) for m, a in _layers(net)]).double()
    exact.load_state_dict(net.state_dict())
    start = image.reshape(-1) / 255.0
    x = start.copy()
    most = int(gamma * x.size)
    while True:
        point = torch.from_numpy(np.rint(x * 255) / 255).reshape(1, *SHAPE).requires_grad_(True)
        z = exact(point)[0]
        others = torch.cat([z[:target], z[target + 1 :]])
        if (z[target] - others.max()).item() > SLACK:
            return x
        jacobian = np.stack(
            [
                torch.autograd.grad(z[c], point, retain_graph=True)[0].numpy().reshape(-1)
                for c in range(CLASSES)
            ]
        )
        way = np.sign(theta)
        alpha, beta = way * jacobian[target], way * (jacobian.sum(0) - jacobian[target])
        best, pair = 0.0, None
        able = np.flatnonzero(x < 1 if theta > 0 else x > 0).tolist()
        for p, q in itertools.combinations(able, 2):
            up, down = alpha[p] + alpha[q], beta[p] + beta[q]
            if up > 0 and down < 0 and -up * down > best:
                best, pair = -up * down, [p, q]
        if pair is None:
            return x
        moved = x.copy()
        moved[pair] = np.clip(moved[pair] + theta, 0, 1)
        if (moved != start).sum() > most:
            return x
        x = moved


def _layers(net: nn.Module) -> list[tuple[nn.Module, tuple[int, ...]]]:
    conv, tanh, flat, head = net  # type: ignore[misc]
    return [(conv, (1, 4, 3)), (tanh, ()), (flat, ()), (head, (64, CLASSES))]


@pytest.mark.parametrize(("theta", "gamma"), [(1.0, 0.145), (-1.0, 0.145), (1.0, 0.6), (0.2, 0.4)])
def test_follows_the_paper_pair_by_pair(
    net: nn.Module, victim: Classifier, images: Images, theta: float, gamma: float
) -> None:
    with Scorer(victim) as scorer:
        labels = scorer.labels(images)
        targets = (labels + 1) % CLASSES
        result = JSMA(theta=theta, gamma=gamma)(scorer, images, labels, targets=targets)
    for row in range(len(images)):
        wanted = reference(net, images[row], int(targets[row]), theta, gamma)
        assert result.images_float[row].reshape(-1) == pytest.approx(wanted, abs=1e-6)
    assert result.norms.l0.max() <= gamma * 36
    assert result.norms.l0.max() > 2


def test_a_step_is_one_forward_and_two_backward_images(victim: Classifier, images: Images) -> None:
    with Scorer(victim) as scorer:
        labels = scorer.labels(images)
        result = JSMA(gamma=0.9)(scorer, images, labels, targets=(labels + 1) % CLASSES)
        assert (scorer.labels(result.pixels) == result.targets)[result.success].all()
    hit = result.success
    assert hit.any()
    assert (result.backward_each[hit] == 2 * (result.forward_each[hit] - 1)).all()
    assert (result.norms.l0 <= 2 * (result.forward_each - 1)).all()


def test_saturated_floats_are_the_picture(victim: Classifier, images: Images) -> None:
    with Scorer(victim) as scorer:
        labels = scorer.labels(images)
        result = JSMA()(scorer, images, labels, targets=(labels + 1) % CLASSES)
    changed = result.pixels != images
    assert (result.pixels[changed] == 255).all()
    assert (result.images_float == result.images).all()
    assert (result.success == result.success_float).all()


def test_the_cheap_variant_takes_the_largest_derivatives(images: Images) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).requires_grad_(False)
    with Scorer(from_module(net, input_shape=SHAPE, name="linear")) as scorer:
        labels = scorer.labels(images)
        targets = (labels + 1) % 3
        attack = SimplifiedJSMA(features=3, gamma=0.99, of="logit")
        result = attack(scorer, images, labels, targets=targets)
    weights = net[1].weight.numpy()
    for row in range(len(images)):
        changed = np.flatnonzero((result.pixels[row] != images[row]).reshape(-1))
        slopes = np.where(images[row].reshape(-1) < 255, weights[targets[row]], -np.inf)
        rising = np.argsort(-slopes)[: int((slopes > 0).sum())]
        assert set(changed) == set(rising[: len(changed)])
    assert result.success.any()
    hit = result.success
    assert (result.backward_each[hit] == result.forward_each[hit] - 1).all()


@pytest.mark.parametrize("attack", [JSMA(), JSMA(theta=-1.0), SimplifiedJSMA()])
def test_most_pairs_of_digits_succeed(attack: JSMA | SimplifiedJSMA) -> None:
    sample = load_dataset("mnist-sample")
    with Scorer(load_classifier("mnist-lenet")) as scorer:
        right = scorer.labels(sample.images) == sample.labels
        digits = [int(np.flatnonzero(right & (sample.labels == c))[0]) for c in (0, 3, 7)]
        rows = np.repeat(digits, 3)
        labels = sample.labels[rows]
        targets = (labels + np.tile([2, 5, 8], 3)) % 10
        result = attack(scorer, sample.images[rows], labels, targets=targets)
    assert result.success.mean() >= 0.7
    assert result.norms.l0.max() <= 0.145 * 784


def test_a_budget_that_ends_midway_keeps_what_was_found(victim: Classifier, images: Images) -> None:
    with Scorer(victim, budget=26) as scorer:
        result = JSMA(gamma=0.9)(scorer, images, targets=np.full(len(images), 3))
        assert scorer.queries <= 26
    assert not result.complete.all()
    assert (result.pixels != images).any()


def test_needs_targets(victim: Classifier, images: Images) -> None:
    with Scorer(victim) as scorer, pytest.raises(UsageError, match="jsma is targeted"):
        JSMA()(scorer, images, np.zeros(len(images), np.int64))


@pytest.mark.parametrize("options", [{"theta": 0.0}, {"theta": 1.5}, {"gamma": 0.0}])
def test_refuses_bad_parameters(options: dict[str, float]) -> None:
    for attack in (JSMA, SimplifiedJSMA):
        with pytest.raises(UsageError, match=f"{attack.name}: {next(iter(options))}"):
            attack(**options)


def test_refuses_bad_parameters_of_the_cheap_variant() -> None:
    with pytest.raises(UsageError, match="features"):
        SimplifiedJSMA(features=0)
    with pytest.raises(UsageError, match="of 'loss'"):
        SimplifiedJSMA(of="loss")  # type: ignore[arg-type]


@pytest.mark.parametrize("theta", [0.0, 1e-9, -1e-3, 1.5, float("nan")])
def test_a_theta_that_no_picture_can_show(theta: float) -> None:
    with pytest.raises(UsageError, match="theta"):
        JSMA(theta=theta)
