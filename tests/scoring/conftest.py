"""Victims small enough to be checked by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module, from_predict

SHAPE = (1, 6, 6)
CLASSES = 5


@pytest.fixture(scope="session")
def net() -> nn.Module:
    """A smooth net: its derivatives can be had by differences."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, CLASSES)
    ).requires_grad_(False)


@pytest.fixture(scope="session")
def victim(net: nn.Module) -> Classifier:
    """A white box on 1 x 6 x 6, five classes."""
    return from_module(net, input_shape=SHAPE, name="tiny")


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Eleven pictures: no multiple of any micro-batch here."""
    return np.random.default_rng(3).integers(0, 256, (11, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="session")
def weights() -> NDArray[np.float64]:
    """Of a linear black box on 1 x 6 x 6."""
    return np.random.default_rng(4).normal(size=(36, CLASSES)) / 6


@pytest.fixture(scope="session")
def linear(weights: NDArray[np.float64]) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Its logits."""

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return images.reshape(len(images), -1) / 255.0 @ weights

    return predict


@pytest.fixture(scope="session")
def black_box(linear: Callable[[NDArray[np.uint8]], NDArray[np.float64]]) -> Classifier:
    """A predict function that gives logits."""
    return from_predict(linear, input_shape=SHAPE, output="logits", name="box")
