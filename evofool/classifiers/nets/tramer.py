"""The MNIST nets A to D of ensemble adversarial training (Tramèr et al., ICLR 2018, 1705.07204).

Layers and sizes are those of the paper and its released settings: two convolutions of 64 maps (A),
strided ones behind an input dropout of .2 (B), 128 and 64 maps (C), four layers of 300 with dropout
.5 (D). Ours: weights start as PyTorch's layers do (the original's as Keras's do), and any input
shape and number of classes is taken.
"""

from __future__ import annotations

import torch
from torch import nn

from evofool.images import Shape


class _Tramer(nn.Module):
    """`features`, flattened, then `head`."""

    features: nn.Module
    head: nn.Module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to logits, N x classes."""
        logits: torch.Tensor = self.head(self.features(images).flatten(1))
        return logits


class ModelA(_Tramer):
    """conv 64 x 5 x 5, conv 64 x 5 x 5, dropout .25, fully connected 128, dropout .5, classes.

    ReLU after all but the last; convolutions without padding.

    Raises:
        ValueError: an image shorter than 9 pixels.
    """

    def __init__(self, input_shape: Shape = (1, 28, 28), n_classes: int = 10) -> None:
        super().__init__()
        channels, height, width = input_shape
        sides = _without(height, 8), _without(width, 8)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 5), nn.ReLU(), nn.Conv2d(64, 64, 5), nn.ReLU(), nn.Dropout(0.25)
        )
        self.head = _dense(64 * sides[0] * sides[1], n_classes)


class ModelB(_Tramer):
    """dropout .2, conv 64 x 8 x 8 / 2, conv 128 x 6 x 6 / 2, conv 128 x 5 x 5, dropout .5, classes.

    ReLU after the convolutions; the first is padded so that it halves the image, as in the
    original (3 pixels before and after an even side; 1 more after an odd one).

    Raises:
        ValueError: an image shorter than 27 pixels.
    """

    def __init__(self, input_shape: Shape = (1, 28, 28), n_classes: int = 10) -> None:
        super().__init__()
        channels, height, width = input_shape
        rows, columns = (_strided(side) for side in (height, width))
        self.features = nn.Sequential(
            nn.Dropout(0.2),
            nn.ZeroPad2d((3, 3 + width % 2, 3, 3 + height % 2)),
            nn.Conv2d(channels, 64, 8, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 128, 6, stride=2),
            nn.ReLU(),
            nn.Conv2d(128, 128, 5),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.head = nn.Sequential(nn.Linear(128 * rows * columns, n_classes))


class ModelC(_Tramer):
    """conv 128 x 3 x 3, conv 64 x 3 x 3, dropout .25, fully connected 128, dropout .5, classes.

    ReLU after all but the last; convolutions without padding.

    Raises:
        ValueError: an image shorter than 5 pixels.
    """

    def __init__(self, input_shape: Shape = (1, 28, 28), n_classes: int = 10) -> None:
        super().__init__()
        channels, height, width = input_shape
        sides = _without(height, 4), _without(width, 4)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 3),
            nn.ReLU(),
            nn.Conv2d(128, 64, 3),
            nn.ReLU(),
            nn.Dropout(0.25),
        )
        self.head = _dense(64 * sides[0] * sides[1], n_classes)


class ModelD(_Tramer):
    """Four fully connected layers of 300, each with ReLU and dropout .5, then the classes."""

    def __init__(self, input_shape: Shape = (1, 28, 28), n_classes: int = 10) -> None:
        super().__init__()
        channels, height, width = input_shape
        layers: list[nn.Module] = []
        inputs = channels * height * width
        for _ in range(4):
            layers += [nn.Linear(inputs, 300), nn.ReLU(), nn.Dropout(0.5)]
            inputs = 300
        self.features = nn.Flatten()
        self.head = nn.Sequential(*layers, nn.Linear(300, n_classes))


def _dense(inputs: int, n_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, n_classes)
    )


def _without(side: int, border: int) -> int:
    if side <= border:
        raise ValueError(f"a side of {side} is too short; at least {border + 1} are needed")
    return side - border


def _strided(side: int) -> int:
    """Side of B's last feature maps: halved, then 6 x 6 by 2, then 5 x 5."""
    left = ((side + 1) // 2 - 6) // 2 + 1 - 4
    if left < 1:
        raise ValueError(f"a side of {side} is too short for B; at least 27 are needed")
    return left
