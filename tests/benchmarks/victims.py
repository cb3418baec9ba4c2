"""Victims for measuring what is not scoring; loaded by path, as a user's own would be."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module, from_predict, load_classifier

SIDE = 4
"""Of the pictures of a `free` victim, so that rendering costs next to nothing as well."""


def free(classes: int) -> Classifier:
    """So many classes for next to nothing: a random linear map of a tiny picture."""
    rng = np.random.default_rng(classes)
    weights = rng.standard_normal((3 * SIDE * SIDE, classes), dtype=np.float32) / np.float32(255)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        flat = images.reshape(len(images), -1).astype(np.float32) - np.float32(127.5)
        found: NDArray[np.float32] = flat @ weights
        return found

    return from_predict(
        predict,
        input_shape=(3, SIDE, SIDE),
        output="logits",
        link="sigmoid",
        name=f"free-{classes}",
    )


def free_10() -> Classifier:
    """`free` with 10 classes."""
    return free(10)


def free_100() -> Classifier:
    """`free` with 100 classes."""
    return free(100)


def free_1000() -> Classifier:
    """`free` with 1000 classes."""
    return free(1000)


def free_10000() -> Classifier:
    """`free` with 10,000 classes."""
    return free(10_000)


class Spread(nn.Module):
    """A net whose favourite class is a hash of the picture.

    The sum of some pixels modulo the number of classes gets a logit so large that a campaign's
    cells fill with distinct individuals within some generations, at the cost of the net alone.
    """

    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__()
        self.numbers: torch.Tensor
        self.net = net
        self.classes = classes
        self.register_buffer("numbers", torch.arange(classes, dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """As the net's, with the bonus."""
        total = (images[:, :, ::7, ::7] * 255).round().sum(dim=(1, 2, 3))  # below 2^24: exact
        place = total - self.classes * torch.floor(total / self.classes)
        distance = (place[:, None] - self.numbers).abs()
        logits: torch.Tensor = self.net(images) + 100 * torch.relu(1 - distance)
        return logits


def spread() -> Classifier:
    """EfficientNet-Lite0 as a `Spread`."""
    victim = load_classifier("imagenet-efficientnet-lite0")
    assert victim.module is not None
    return from_module(
        Spread(victim.module, victim.n_classes),
        input_shape=victim.input_shape,
        labels=victim.labels,
        name="spread-lite0",
    )


def net_1000() -> Classifier:
    """`free` with 1000 classes as a module, which can be sent to Ray's workers."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 1000))
    return from_module(net, input_shape=(3, SIDE, SIDE), output="logits", name="net-1000")
