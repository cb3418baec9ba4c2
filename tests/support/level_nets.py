"""Nets whose logits are differences of a picture's mean level to thresholds."""

from __future__ import annotations

import torch
from torch import nn


class Levels(nn.Module):
    """float32 N x 1 x H x W on [0, 1] to N x `values` logits."""

    def __init__(self, values: int, sharpness: float = 20.0) -> None:
        super().__init__()
        self.last = nn.Linear(1, values)
        self.last.weight.data = sharpness * torch.ones(values, 1)
        self.last.bias.data = -sharpness * torch.linspace(0.3, 0.7, values)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits of `images`."""
        result: torch.Tensor = self.last(images.mean((1, 2, 3))[:, None])
        return result


def one() -> nn.Module:
    """One logit: of a light picture."""
    return Levels(1)


def three() -> nn.Module:
    """Three classes, the first of which is always the surest."""
    return Levels(3)
