"""Two larger nets for traffic signs: one that looks at several scales, and a plain one."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from evofool.images import Shape

_SHORTEST = 8


class MultiScaleNet(nn.Module):
    """The outputs of all stages feed the classifier (Sermanet and LeCun, IJCNN 2011).

    Three stages of two 3 x 3 convolutions each (24, 48, 96 maps), batch normalisation and ReLU
    after each convolution, max-pool 2 and dropout after each stage. The maps of the first two are
    pooled once more, to the size of the third, and all 168 go to 128 units, dropout .4 and the
    classes. Depth, sizes and normalisation are ours, so that the weights stay small.

    Args:
        input_shape: channels, height and width; usually 3 x 32 x 32.
        n_classes: number of outputs; 43 in GTSRB.

    Raises:
        ValueError: an image shorter than 8 pixels.
    """

    def __init__(self, input_shape: Shape = (3, 32, 32), n_classes: int = 43) -> None:
        super().__init__()
        channels, height, width = input_shape
        _check_side(height, width)
        self.stage1 = _stage((channels, 24, 24), 3, 0.05)
        self.stage2 = _stage((24, 48, 48), 3, 0.1)
        self.stage3 = _stage((48, 96, 96), 3, 0.2)
        self.pool1, self.pool2 = nn.MaxPool2d(4), nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.4)
        self.fc1 = nn.Linear((24 + 48 + 96) * (height // 8) * (width // 8), 128)
        self.fc2 = nn.Linear(128, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W, normalised, to logits, N x classes."""
        first = self.stage1(images)
        second = self.stage2(first)
        third = self.stage3(second)
        seen = torch.cat(
            [self.pool1(first).flatten(1), self.pool2(second).flatten(1), third.flatten(1)], 1
        )
        logits: torch.Tensor = self.fc2(self.dropout(torch.relu(self.fc1(seen))))
        return logits


class PlainNet(nn.Module):
    """Three stages of two 3 x 3 convolutions each (24, 48, 96 maps), 192 units, dropout, classes.

    Batch normalisation and ReLU follow each convolution, max-pool 2 and dropout each stage: the
    usual shape, whose classifier sees the last stage alone.

    Args:
        input_shape: channels, height and width; usually 3 x 32 x 32.
        n_classes: number of outputs; 43 in GTSRB.

    Raises:
        ValueError: an image shorter than 8 pixels.
    """

    def __init__(self, input_shape: Shape = (3, 32, 32), n_classes: int = 43) -> None:
        super().__init__()
        channels, height, width = input_shape
        _check_side(height, width)
        self.stages = nn.Sequential(
            _stage((channels, 24, 24), 3, 0.05),
            _stage((24, 48, 48), 3, 0.1),
            _stage((48, 96, 96), 3, 0.2),
        )
        self.dropout = nn.Dropout(0.4)
        self.fc1 = nn.Linear(96 * (height // 8) * (width // 8), 192)
        self.fc2 = nn.Linear(192, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W, normalised, to logits, N x classes."""
        hidden = self.stages(images).flatten(1)
        logits: torch.Tensor = self.fc2(self.dropout(torch.relu(self.fc1(hidden))))
        return logits


def _stage(maps: tuple[int, ...], side: int, dropout: float) -> nn.Sequential:
    """Convolutions from each number of maps to the next, a pooling, dropout."""
    layers: list[nn.Module] = []
    for before, after in pairwise(maps):
        convolution = nn.Conv2d(before, after, side, padding=side // 2, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Dropout(dropout))


def _check_side(height: int, width: int) -> None:
    if min(height, width) < _SHORTEST:
        raise ValueError(f"a side of {min(height, width)} is too short for three halvings")
