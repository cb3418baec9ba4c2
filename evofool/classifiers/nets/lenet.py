"""Caffe's LeNet (LeCun et al. 1998 as Caffe ships it), the MNIST victim of Nguyen et al. 2015."""

from __future__ import annotations

import torch
from torch import nn

from evofool.images import Shape


class LeNet(nn.Module):
    """conv 20 x 5 x 5, max-pool 2, conv 50 x 5 x 5, max-pool 2, fully connected 500, ReLU, classes.

    There is no activation after the convolutions: Caffe's example has none, and the paper's
    victim is that example.

    Args:
        input_shape: channels, height and width; 1 x 28 x 28 in the original.
        n_classes: number of outputs (10, or 11 once a "fooling" class is added).

    Raises:
        ValueError: an image shorter than 13 pixels.
    """

    def __init__(self, input_shape: Shape = (1, 28, 28), n_classes: int = 10) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.conv1 = nn.Conv2d(channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)  # Caffe rounds pooled sizes up
        self.ip1 = nn.Linear(50 * _pooled(height) * _pooled(width), 500)
        self.ip2: nn.Module = nn.Linear(500, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to logits, N x classes."""
        hidden = self.pool(self.conv1(images))
        hidden = self.pool(self.conv2(hidden))
        hidden = torch.relu(self.ip1(hidden.flatten(1)))
        logits: torch.Tensor = self.ip2(hidden)
        return logits


def _pooled(side: int) -> int:
    """Side of the feature maps after both stages: two 5 x 5 convolutions, two ceiling halvings."""
    start = side
    for _ in range(2):
        if side < 5:
            raise ValueError(f"a side of {start} is too short for two 5 x 5 convolutions")
        side = (side - 4 + 1) // 2
    return side
