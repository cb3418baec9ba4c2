"""Three nets of seven classes for an ensemble: two inputs, two orders of classes, one black box."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evofool.classifiers import Classifier, from_module, from_predict

LABELS = tuple("abcdefg")
GREY = 0.5


class Slopes(nn.Module):
    """A linear net whose weights come from a seed."""

    def __init__(self, seed: int, pixels: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        weights = torch.randn(pixels, len(LABELS), generator=generator)
        self.weights = nn.Parameter(weights / 2)

    def forward(self, images: Tensor) -> Tensor:
        """N x 7 logits of float32 N x 1 x H x W."""
        return (images - GREY).flatten(1) @ self.weights


def first() -> Classifier:
    """6 x 6."""
    return from_module(Slopes(1, 36), input_shape=(1, 6, 6), labels=LABELS, name="first")


def second() -> Classifier:
    """6 x 6, its classes in the other order."""
    return from_module(Slopes(2, 36), input_shape=(1, 6, 6), labels=LABELS[::-1], name="second")


def small() -> Classifier:
    """4 x 4: it sees every picture resized."""
    return from_module(Slopes(3, 16), input_shape=(1, 4, 4), labels=LABELS, name="small")


def sigmoids() -> Classifier:
    """6 x 6, a sigmoid for each class, and two classes more than the others."""
    wide = nn.Sequential(nn.Flatten(), nn.Linear(36, 9))
    with torch.no_grad():
        wide[1].weight.copy_(Slopes(4, 81).weights[:, :4].reshape(9, 36))
        wide[1].bias.zero_()
    labels = ("x", *LABELS, "y")
    return from_module(wide, input_shape=(1, 6, 6), labels=labels, name="sigmoids", link="sigmoid")


def black() -> Classifier:
    """6 x 6, a predict function that gives probabilities."""
    net = Slopes(5, 36)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        with torch.no_grad():
            return net(torch.from_numpy(images).float() / 255).double().softmax(1).numpy()

    return from_predict(predict, input_shape=(1, 6, 6), labels=LABELS, name="black")


def others() -> Classifier:
    """None of the classes of the others."""
    labels = [name.upper() * 2 for name in LABELS]
    return from_module(Slopes(6, 36), input_shape=(1, 6, 6), labels=labels, name="others")


def halves() -> Classifier:
    """Three classes of the others and four of its own."""
    return from_module(
        Slopes(7, 36), input_shape=(1, 6, 6), labels=["c", "b", "a", *"pqrs"], name="halves"
    )


def numbered() -> Classifier:
    """Classes without names."""
    return from_module(Slopes(8, 36), input_shape=(1, 6, 6), name="numbered")
