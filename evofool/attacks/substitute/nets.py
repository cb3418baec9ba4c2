"""Small nets that learn a victim's labels, for any input shape and number of classes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import nn

from evofool.images import Shape

_PIXELS = 8
"""``cnn`` halves its maps until no side is longer."""


def build_net(name: str, input_shape: Shape, n_classes: int) -> nn.Module:
    """A fresh net, one of `substitute.ARCHITECTURES`, drawn from torch's global generator."""
    builders: dict[str, Callable[[Shape, int], nn.Module]] = {
        "cnn": _cnn,
        "papernot-a": _papernot_a,
        "mlp": _mlp,
    }
    return builders[name](input_shape, n_classes)


def _cnn(shape: Shape, n_classes: int) -> nn.Module:
    """3 x 3 convolutions of 32, 64, 64... maps, each halved, until 8 x 8 are left; 128; classes."""
    layers: list[nn.Module] = []
    channels, height, width = shape
    while not layers or max(height, width) > _PIXELS:
        maps = 64 if layers else 32
        layers += [nn.Conv2d(channels, maps, 3, padding=1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        channels, height, width = maps, -(-height // 2), -(-width // 2)
    return nn.Sequential(*layers, nn.Flatten(), *_dense(channels * height * width, 128, n_classes))


def _papernot_a(shape: Shape, n_classes: int) -> nn.Module:
    """Net A of Papernot et al. 2017: 32 and 64 maps of 2 x 2, each max-pooled by 2; 200; 200."""
    channels, height, width = shape
    layers: list[nn.Module] = []
    for maps in (32, 64):
        layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, maps, 2), nn.ReLU()]
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        channels, height, width = maps, -(-height // 2), -(-width // 2)
    dense = _dense(channels * height * width, 200, 200, n_classes)
    return nn.Sequential(*layers, nn.Flatten(), *dense)


def _mlp(shape: Shape, n_classes: int) -> nn.Module:
    """Two fully connected layers of 200 units, as in the authors' MNIST tutorial."""
    channels, height, width = shape
    return nn.Sequential(nn.Flatten(), *_dense(channels * height * width, 200, 200, n_classes))


def _dense(*sizes: int) -> list[nn.Module]:
    """Fully connected layers, a ReLU after each but the last."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return layers[:-1]
