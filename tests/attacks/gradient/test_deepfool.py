"""DeepFool: the formula by hand on linear nets, foolbox to the bit, pictures that fool."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.attacks import DeepFool
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


def test_one_step_to_the_nearest_boundary_of_a_linear_net(
    linear: nn.Module, images: Images
) -> None:
    with Scorer(victim(linear)) as scorer:
        labels = scorer.labels(images)
        result = DeepFool(candidates=CLASSES)(scorer, images, labels)
    layer = linear[1]
    weights = layer.weight.double().numpy()
    for row, label in enumerate(labels.tolist()):
        x = images[row].reshape(-1) / 255.0
        z = weights @ x + layer.bias.double().numpy()
        others = [k for k in range(CLASSES) if k != label]
        ways = np.stack([weights[k] - weights[label] for k in others])
        distances = np.abs(z[others] - z[label]) / np.sqrt((ways**2).sum(1))
        k = int(distances.argmin())
        unit = ways[k] / np.sqrt((ways[k] ** 2).sum())
        wanted = x + 1.02 * (distances[k] + 1e-4) * unit
        assert result.images_float[row].reshape(-1) == pytest.approx(wanted, abs=2e-6)
    assert result.success.all()
    assert result.success_float.all()
    assert (result.backward_each == CLASSES - 1).all()
    assert (result.forward_each <= 2 + 8).all()
    assert result.complete.all()


def test_equals_foolbox(bent: nn.Module, images: Images) -> None:
    foolbox = pytest.importorskip("foolbox")
    with Scorer(victim(bent)) as scorer:
        labels = scorer.labels(images)
        result = DeepFool(candidates=4)(scorer, images, labels)
    model = foolbox.PyTorchModel(bent.eval(), bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.Misclassification(torch.from_numpy(labels))
    attack = foolbox.attacks.L2DeepFoolAttack(candidates=4)
    theirs = attack.run(model, torch.from_numpy(to_float(images)), criterion).numpy()
    assert result.images_float == pytest.approx(theirs, abs=2e-6)
    assert (result.norms_float.l2 > 0).all()


def test_pictures_fool_within_a_few_times_the_float_length(bent: nn.Module, images: Images) -> None:
    with Scorer(victim(bent)) as scorer:
        labels = scorer.labels(images)
        result = DeepFool()(scorer, images, labels)
        assert (scorer.labels(result.pixels) != labels).all()
    assert result.success.all()
    assert result.norms.l2.mean() < 2 * result.norms_float.l2.mean()
    # every picture was scored while crafting; only float images are scored to judge
    assert result.verify_forward_images == len(images)


def test_results_depend_on_no_company(bent: nn.Module, images: Images) -> None:
    with Scorer(victim(bent)) as scorer:
        labels = scorer.labels(images)
        together = DeepFool()(scorer, images, labels)
        alone = DeepFool()(scorer, images[4:5], labels[4:5])
    assert (alone.pixels[0] == together.pixels[4]).all()
    assert alone.forward_each[0] == together.forward_each[4]
    assert alone.backward_each[0] == together.backward_each[4]


def test_what_fools_already_costs_one_pass(bent: nn.Module, images: Images) -> None:
    with Scorer(victim(bent)) as scorer:
        wrong = (scorer.labels(images) + 1) % CLASSES
        result = DeepFool()(scorer, images, wrong)
    assert result.success.all()
    assert (result.pixels == images).all()
    assert result.forward_images == len(images)
    assert result.backward_images == 0


@pytest.mark.parametrize("budget", [12, 22, 30])
def test_a_budget_that_ends_midway_keeps_what_was_found(
    bent: nn.Module, images: Images, budget: int
) -> None:
    with Scorer(victim(bent), budget=budget) as scorer:
        free = Scorer(victim(bent))
        labels = free.labels(images)
        result = DeepFool()(scorer, images, labels)
        assert scorer.queries <= budget
        assert ((free.labels(result.pixels) != labels) == result.success).all()
        free.close()
    assert not result.complete.all()
    assert any("budget" in note for note in result.notes)


class Ledge(nn.Module):
    """Without any gradient below a mean of .9."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rise = (x.mean(dim=(1, 2, 3)) - 0.9).relu()
        return torch.stack([1 + 0 * rise, rise, -rise], dim=1)


def test_a_flat_victim_is_said_and_left(images: Images) -> None:
    with Scorer(victim(Ledge())) as scorer:
        result = DeepFool()(scorer, images, np.zeros(len(images), np.int64))
    assert not result.success.any()
    assert any("zero" in note for note in result.notes)
    assert (result.forward_each == 1).all()
    assert (result.pixels == images).all()


def test_digits_of_the_bundled_net() -> None:
    sample = load_dataset("mnist-sample")
    with Scorer(load_classifier("mnist-lenet")) as scorer:
        right = np.flatnonzero(scorer.labels(sample.images) == sample.labels)[:20]
        result = DeepFool()(scorer, sample.images[right], sample.labels[right])
    assert result.success.all()
    assert result.norms.l2.mean() < 1.2 * result.norms_float.l2.mean()


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"candidates": 1}, {"overshoot": -0.1}, {"models": -1}]
)
def test_refuses_bad_parameters(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"deepfool: {next(iter(options))}"):
        DeepFool(**options)  # type: ignore[arg-type]


def test_takes_no_targets(bent: nn.Module, images: Images) -> None:
    with Scorer(victim(bent)) as scorer, pytest.raises(UsageError, match="untargeted"):
        DeepFool()(scorer, images, targets=np.ones(len(images), np.int64))
