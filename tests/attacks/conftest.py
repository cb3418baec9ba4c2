"""Victims small enough to be attacked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module, from_predict
from evofool.scoring import Scorer

SHAPE = (1, 6, 6)
CLASSES = 5


@pytest.fixture(scope="session")
def net() -> nn.Module:
    """A smooth net."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, CLASSES)
    ).requires_grad_(False)


@pytest.fixture(scope="session")
def victim(net: nn.Module) -> Classifier:
    """A white box on 1 x 6 x 6, five classes."""
    return from_module(net, input_shape=SHAPE, name="tiny")


@pytest.fixture(scope="session")
def matrix() -> NDArray[np.float32]:
    """Weights of the linear victims: 5 x 36."""
    return np.random.default_rng(4).normal(size=(CLASSES, 36)).astype(np.float32)


@pytest.fixture(scope="session")
def linear(matrix: NDArray[np.float32]) -> Classifier:
    """A linear white box: every attack on it can be worked out by hand."""
    layer = nn.Linear(36, CLASSES, bias=False)
    layer.weight.data = torch.from_numpy(matrix)
    net = nn.Sequential(nn.Flatten(), layer).requires_grad_(False)
    return from_module(net, input_shape=SHAPE, name="linear")


@pytest.fixture(scope="session")
def black_box(matrix: NDArray[np.float32]) -> Classifier:
    """The linear victim as a predict function that gives logits."""

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return images.reshape(len(images), -1) / 255.0 @ matrix.T.astype(np.float64)

    return from_predict(predict, input_shape=SHAPE, output="logits", name="box")


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Eleven pictures with room on both sides of every level."""
    return np.random.default_rng(3).integers(64, 192, (11, *SHAPE), dtype=np.uint8)


@pytest.fixture
def labels(victim: Classifier, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the smooth net calls them."""
    with Scorer(victim) as scorer:
        return scorer.labels(images)
