"""C&W L2: the optimum of a linear net, foolbox on a bent one, margins, targets, budgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.attacks import CarliniWagner
from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.data import load_dataset
from evofool.errors import UsageError
from evofool.images import to_float
from evofool.scoring import Scorer

SHAPE = (1, 6, 6)
CLASSES = 5
Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def linear() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES)).requires_grad_(False)


@pytest.fixture(scope="module")
def bent() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, CLASSES)
    ).requires_grad_(False)


def victim(net: nn.Module) -> Classifier:
    return from_module(net, input_shape=SHAPE, name="tiny")


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(3).integers(70, 190, (9, *SHAPE), dtype=np.uint8)


def least_lengths(net: nn.Module, images: Images, labels: NDArray[np.int64]) -> Any:
    """Distances to the nearest boundary of a linear net (no pixel reaches black or white)."""
    layer = net[1]  # type: ignore[index]
    weights, x = layer.weight.double().numpy(), images.reshape(len(images), -1) / 255.0
    z = x @ weights.T + layer.bias.double().numpy()
    each = np.arange(len(x))
    gaps = z[each, labels][:, None] - z
    ways = np.sqrt(((weights[None] - weights[labels][:, None]) ** 2).sum(2))
    ways[each, labels] = np.nan
    return np.nanmin(gaps / ways, axis=1)


def test_comes_near_the_optimum_of_a_linear_net(linear: nn.Module, images: Images) -> None:
    with Scorer(victim(linear)) as scorer:
        labels = scorer.labels(images)
        result = CarliniWagner(search_steps=6, steps=200)(scorer, images, labels)
        assert (scorer.labels(result.pixels) != labels).all()
    least = least_lengths(linear, images, labels)
    assert result.success.all()
    assert (result.norms_float.l2 >= least * (1 - 1e-5)).all()
    assert (result.norms_float.l2 < least * 1.1).all()


def test_as_near_as_foolbox(bent: nn.Module, images: Images) -> None:
    foolbox = pytest.importorskip("foolbox")
    with Scorer(victim(bent)) as scorer:
        labels = scorer.labels(images)
        mine = CarliniWagner(search_steps=6, steps=200)(scorer, images, labels)
    model = foolbox.PyTorchModel(bent.eval(), bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.Misclassification(torch.from_numpy(labels))
    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=6, steps=200)
    start = torch.from_numpy(to_float(images))
    theirs = attack.run(model, start, criterion).numpy().astype(np.float64)
    lengths = np.sqrt(((theirs - to_float(images)) ** 2).sum(axis=(1, 2, 3)))
    assert mine.success_float.all()
    assert mine.norms_float.l2.mean() < 1.02 * lengths.mean()


def test_reaches_targets(bent: nn.Module, images: Images) -> None:
    with Scorer(victim(bent)) as scorer:
        labels = scorer.labels(images)
        targets = (labels + 2) % CLASSES
        result = CarliniWagner(steps=60)(scorer, images, labels, targets=targets)
        assert (scorer.labels(result.pixels) == targets).all()
    assert result.success.all()
    assert result.success_float.all()


@pytest.mark.parametrize("kappa", [0.02, 0.1])
def test_pictures_have_the_margin_too(bent: nn.Module, images: Images, kappa: float) -> None:
    with Scorer(victim(bent)) as scorer:
        labels = scorer.labels(images)
        result = CarliniWagner(kappa=kappa, steps=60)(scorer, images, labels)
        assert result.success.all()
        for pictures in (result.pixels, result.images_float):
            z = scorer.logits(pictures).astype(np.float64)
            own = np.take_along_axis(z, labels[:, None], 1)[:, 0]
            np.put_along_axis(z, labels[:, None], -np.inf, 1)
            assert (z.max(1) - own >= kappa - 1e-6).all()


def test_iterates_with_the_margin_take_no_backward_pass(bent: nn.Module, images: Images) -> None:
    with Scorer(victim(bent)) as scorer:
        labels = scorer.labels(images)
        result = CarliniWagner(search_steps=3, steps=40)(scorer, images, labels)
        assert result.backward_images < 0.9 * result.forward_images
        assert scorer.forward_images == result.forward_images + result.verify_forward_images + 9
        assert scorer.backward_images == result.backward_images


def test_results_depend_on_no_company(linear: nn.Module, images: Images) -> None:
    with Scorer(victim(linear)) as scorer:
        labels = scorer.labels(images)
        attack = CarliniWagner(search_steps=2, steps=20)
        together = attack(scorer, images, labels)
        alone = attack(scorer, images[4:5], labels[4:5])
    assert alone.images_float[0] == pytest.approx(together.images_float[4], abs=1e-5)
    assert alone.forward_each[0] == together.forward_each[4]


def test_what_fools_already_costs_one_pass(bent: nn.Module, images: Images) -> None:
    with Scorer(victim(bent)) as scorer:
        wrong = (scorer.labels(images) + 1) % CLASSES
        result = CarliniWagner()(scorer, images, wrong)
    assert result.success.all()
    assert (result.pixels == images).all()
    assert result.forward_images == len(images)
    assert result.backward_images == 0


@pytest.mark.parametrize("budget", [15, 200, 400])
def test_a_budget_that_ends_midway_keeps_what_was_found(
    bent: nn.Module, images: Images, budget: int
) -> None:
    with Scorer(victim(bent), budget=budget) as scorer, Scorer(victim(bent)) as free:
        labels = free.labels(images)
        result = CarliniWagner(steps=50)(scorer, images, labels)
        assert scorer.queries <= budget
        assert ((free.labels(result.pixels) != labels) == result.success).all()
        assert result.success.any() == (budget > 15)
    assert not result.complete.any()


class Ledge(nn.Module):
    """Without any gradient below a mean of .9."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rise = (x.mean(dim=(1, 2, 3)) - 0.9).relu()
        return torch.stack([1 + 0 * rise, rise, -rise], dim=1)


@pytest.mark.parametrize("options", [{}, {"initial_c": 0.1, "learning_rate": 0.1}])
def test_a_flat_victim_is_said(images: Images, options: dict[str, float]) -> None:
    with Scorer(victim(Ledge())) as scorer:
        attack = CarliniWagner(search_steps=2, steps=5, **options)  # type: ignore[arg-type]
        result = attack(scorer, images, np.zeros(len(images), np.int64))
    assert not result.success.any()
    assert any("zero" in note for note in result.notes)
    assert (result.pixels == images).all()


def test_digits_of_the_bundled_net() -> None:
    sample = load_dataset("mnist-sample")
    with Scorer(load_classifier("mnist-lenet")) as scorer:
        right = np.flatnonzero(scorer.labels(sample.images) == sample.labels)[:4]
        attack = CarliniWagner(search_steps=3, steps=50)
        result = attack(scorer, sample.images[right], sample.labels[right])
    assert result.success.all()
    assert result.norms.l2.mean() < 1.1 * result.norms_float.l2.mean()


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"search_steps": 0}, {"kappa": -1.0}, {"learning_rate": 0.0}, {"initial_c": -1}],
)
def test_refuses_bad_parameters(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"carlini-wagner: {next(iter(options))}"):
        CarliniWagner(**options)  # type: ignore[arg-type]
