"""Features go through the scoring backend: counted, in micro-batches, by any engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module
from evofool.classifiers.nets.penultimate import penultimate
from evofool.errors import ImageError
from evofool.images import to_float
from evofool.scoring import Scorer, features

SHAPE = (1, 6, 6)


@pytest.fixture(scope="module")
def deep() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 5))


@pytest.fixture(scope="module")
def net(deep: nn.Module) -> Classifier:
    return from_module(deep, input_shape=SHAPE, name="tiny")


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_features_are_what_the_last_layer_is_given(
    deep: nn.Module, net: Classifier, images: NDArray[np.uint8], engine: str
) -> None:
    values = features(net, images, engine=engine, batch=4, workers=2)
    assert values.dtype == np.float32
    with torch.no_grad():
        wanted = deep[:3](torch.from_numpy(to_float(images))).numpy()  # type: ignore[index]
    np.testing.assert_allclose(values, wanted, atol=1e-6)


def test_every_picture_is_counted(net: Classifier, images: NDArray[np.uint8]) -> None:
    with Scorer(penultimate(net), engine="torch", device="cpu", batch=4) as scorer:
        assert scorer.logits(images).shape == (11, 48)
        assert scorer.forward_images == scorer.queries == 11


def test_no_pictures_have_no_features(net: Classifier) -> None:
    assert features(net, np.zeros((0, *SHAPE), np.uint8)).shape == (0, 48)


def test_pictures_of_another_size_are_refused(net: Classifier) -> None:
    with pytest.raises(ImageError):
        features(net, np.zeros((2, 1, 5, 5), np.uint8))
