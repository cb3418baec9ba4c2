"""The same definitions give the same images as foolbox's, on its own ImageNet samples."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from evofool.attacks import FGSM, PGD, StepLL
from evofool.classifiers import Classifier, load_classifier, prepare
from evofool.images import read_picture, to_float
from evofool.scoring import Scorer

foolbox = pytest.importorskip("foolbox")


@pytest.fixture(scope="module")
def lite0() -> Classifier:
    """EfficientNet-Lite0."""
    return load_classifier("imagenet-efficientnet-lite0")


@pytest.fixture(scope="module")
def samples(lite0: Classifier) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Of the first of foolbox's labelled ImageNet samples those that Lite0 classifies right."""
    files = sorted((Path(foolbox.__file__).parent / "data").glob("imagenet_*"))[:10]
    pictures = np.stack([prepare(read_picture(file), lite0) for file in files])
    labels = np.array([int(file.stem.split("_")[2]) for file in files])
    with Scorer(lite0, batch=10) as scorer:
        right = scorer.labels(pictures) == labels
    assert int(right.sum()) == 8
    return pictures[right], labels[right]


@pytest.fixture(scope="module")
def peer(lite0: Classifier) -> Any:
    """The same module in foolbox."""
    assert lite0.module is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return foolbox.PyTorchModel(lite0.module.eval(), bounds=(0, 1), device="cpu")


ROUNDING = 1e-5
"""Share of values whose sign of the gradient may differ by rounding."""


def same(ours: NDArray[np.float32], theirs: torch.Tensor) -> float:
    """Share of values that agree to the last bits of float32.

    Ours takes the gradients of a few pictures at a time, and convolutions sum in an order that
    depends on the batch: where a gradient is next to zero, its sign may differ.
    """
    return float((np.abs(ours - theirs.numpy()) < 1e-6).mean())


@pytest.mark.parametrize("eps", [0.007, 8 / 255])
def test_fgsm(lite0: Classifier, samples: Any, peer: Any, eps: float) -> None:
    pictures, labels = samples
    x, y = torch.from_numpy(to_float(pictures)), torch.from_numpy(labels)
    _, theirs, fooled = foolbox.attacks.FGSM()(peer, x, y, epsilons=eps)
    with Scorer(lite0, batch=8) as scorer:
        ours = FGSM(eps=eps)(scorer, pictures, labels)
    assert same(ours.images_float, theirs) > 1 - ROUNDING
    assert np.array_equal(ours.success_float, fooled.numpy())
    assert (ours.forward_images, ours.backward_images) == (8, 8)
    assert ours.verify_forward_images == (8 if eps == 8 / 255 else 16)
    assert (ours.effective_eps == eps) == (eps == 8 / 255)


def test_step_ll_is_targeted_fgsm_at_the_least_likely_class(
    lite0: Classifier, samples: Any, peer: Any
) -> None:
    pictures, labels = samples
    x = torch.from_numpy(to_float(pictures))
    with torch.no_grad():
        least = peer(x).argmin(1)
    criterion = foolbox.criteria.TargetedMisclassification(least)
    _, theirs, _ = foolbox.attacks.LinfBasicIterativeAttack(
        rel_stepsize=1.0, steps=1, random_start=False
    )(peer, x, criterion, epsilons=8 / 255)
    with Scorer(lite0, batch=8) as scorer:
        ours = StepLL(eps=8 / 255)(scorer, pictures, labels)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(functional.cross_entropy(peer(x), least, reduction="sum"), x)
    # Sums in another order, as other processors take them, turn the sign of what is next to zero.
    clear = (slope.abs() > 1e-4 * slope.abs().amax((1, 2, 3), keepdim=True)).numpy()
    assert clear.mean() > 0.9
    assert same(ours.images_float[clear], theirs[torch.from_numpy(clear)]) > 1 - ROUNDING
    assert (ours.forward_images, ours.backward_images) == (8, 8)


def test_pgd_in_full(lite0: Classifier, samples: Any, peer: Any) -> None:
    pictures, labels = (part[:4] for part in samples)
    x, y = torch.from_numpy(to_float(pictures)), torch.from_numpy(labels)
    _, theirs, _ = foolbox.attacks.LinfPGD(abs_stepsize=2 / 255, steps=5, random_start=False)(
        peer, x, y, epsilons=8 / 255
    )
    with Scorer(lite0, batch=4) as scorer:
        attack = PGD(eps=8 / 255, step_size=2 / 255, steps=5, early_stop=False)
        ours = attack(scorer, pictures, labels)
    equal = (np.abs(ours.images_float - theirs.numpy()) < 1e-6).mean(axis=(1, 2, 3))
    # one sign of a gradient near zero that differs by rounding leads an image astray from there on
    assert (equal == 1.0).sum() >= 3, equal


def test_pgd_with_early_stop_is_a_fraction_of_the_work(lite0: Classifier, samples: Any) -> None:
    pictures, labels = (part[:8] for part in samples)
    with Scorer(lite0, batch=8) as scorer:
        result = PGD(eps=8 / 255, step_size=2 / 255, steps=40)(scorer, pictures, labels)
    assert result.success.all()
    assert result.backward_images <= 32
    assert result.norms.linf.max() <= 8 / 255 + 1e-9
