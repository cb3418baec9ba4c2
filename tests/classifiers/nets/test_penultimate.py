"""The penultimate layer: found in nets of many shapes, cut off or read in passing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.classifiers.nets.penultimate import penultimate
from evofool.errors import ClassifierError
from evofool.images import to_float


def _images(shape: tuple[int, int, int], count: int = 5) -> torch.Tensor:
    pictures = np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)
    return torch.from_numpy(to_float(pictures))


def _victim(net: nn.Module) -> Classifier:
    return from_module(net, input_shape=(3, 8, 8), name="tiny", probe="small")


@pytest.mark.parametrize("name", ["mnist-lenet", "gtsrb-cnn"])
def test_the_last_layer_of_a_bundled_net_on_its_features_gives_its_logits(name: str) -> None:
    victim = load_classifier(name)
    assert victim.module is not None
    features = penultimate(victim)
    assert features.module is not None
    images = _images(victim.input_shape)
    last = [part for part in victim.module.modules() if isinstance(part, nn.Linear)][-1]
    values = features.module(images)
    assert values.shape == (5, last.in_features) == (5, features.n_classes)
    torch.testing.assert_close(last(values), victim.module(images))


class _Squeeze(nn.Module):
    """Ends in a convolution to classes, as SqueezeNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3)
        self.last = nn.Conv2d(6, 4, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(images))).mean((2, 3))


class _Sliced(nn.Module):
    """Drops a class after its last layer, as nets with a background class do."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(192, 7)
        self.last = nn.Linear(7, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(images.flatten(1))))[:, 1:]


def test_maps_of_features_are_averaged() -> None:
    net = _Squeeze()
    images = _images((3, 8, 8))
    features = penultimate(_victim(net)).module
    assert features is not None
    torch.testing.assert_close(features(images), torch.relu(net.first(images)).mean((2, 3)))


def test_a_net_that_goes_on_after_its_last_layer_is_read_in_passing() -> None:
    from evofool.classifiers.checks.threads import sharing_of

    net = _Sliced()
    images = _images((3, 8, 8))
    features = penultimate(_victim(net)).module
    assert features is not None
    torch.testing.assert_close(features(images), torch.tanh(net.first(images.flatten(1))))
    assert sharing_of(features) == "serial"  # what it reads lies in the module


def test_the_original_is_not_changed() -> None:
    victim = _victim(_Squeeze())
    assert victim.module is not None
    images = _images((3, 8, 8))
    before = victim.module(images)
    penultimate(victim)
    assert torch.equal(victim.module(images), before)


class _Bare(nn.Module):
    """Weights of its own and no parts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(192, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weight


def test_a_net_without_a_last_layer_is_refused() -> None:
    with pytest.raises(ClassifierError, match=r"tiny: has no last layer"):
        penultimate(_victim(_Bare()))


def test_a_black_box_is_refused() -> None:
    from evofool.classifiers import from_predict

    box = from_predict(
        lambda images: np.full((len(images), 3), 1 / 3), input_shape=(3, 8, 8), name="box"
    )
    with pytest.raises(ClassifierError, match=r"box: has no features, since a black box"):
        penultimate(box)


def test_digests_of_features_follow_those_of_nets() -> None:
    net = _Squeeze()
    first, again = (penultimate(_victim(net)).digest for _ in range(2))
    with torch.no_grad():
        net.last.bias.add_(1)
    assert first == again != penultimate(_victim(net)).digest
