"""Input normalisation as part of the victim, so that gradients are those of the image itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Normalised(nn.Module):
    """(x - mean) / std for each channel, then `net`.

    Args:
        net: takes normalised images.
        mean: one number, or one per channel.
        std: one positive number, or one per channel.
    """

    mean: torch.Tensor
    """float32 1 x C x 1 x 1, or 1 x 1 x 1 x 1."""
    std: torch.Tensor
    """float32 1 x C x 1 x 1, or 1 x 1 x 1 x 1."""

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(list(mean)).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(list(std)).reshape(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to the outputs of `net`, as a rule N x classes."""
        result: torch.Tensor = self.net((images - self.mean) / self.std)
        return result
