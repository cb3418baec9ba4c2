"""A net of Hugging Face as a module from images to logits."""

from __future__ import annotations

import torch
from torch import nn


class HuggingFace(nn.Module):
    """The logits of a net of transformers, whose answer is an object that holds them.

    Args:
        net: takes normalised images as ``pixel_values``.
        blue_first: whether it wants the channels in the order blue, green, red.
    """

    def __init__(self, net: nn.Module, blue_first: bool = False) -> None:
        super().__init__()
        self.net = net
        self.blue_first = blue_first

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W, normalised, to logits, N x classes."""
        if self.blue_first:
            images = images.flip(1)
        result: torch.Tensor = self.net(pixel_values=images, return_dict=True).logits
        return result
