"""A net with one output as one of two classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from evofool.classifiers.checks.answers import not_one
from evofool.errors import ScoringError


class TwoClasses(nn.Module):
    """Logits 0 and z of the one value z that `net` gives, so that their softmax is its sigmoid.

    Args:
        net: images to N or N x 1 values.
        confidences: whether these are confidences p already; then the outputs are 1 - p and p.
    """

    def __init__(self, net: nn.Module, confidences: bool = False) -> None:
        super().__init__()
        self.net = net
        self.confidences = confidences

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to N x 2, floating."""
        values: Any = self.net(images)
        if not isinstance(values, torch.Tensor):  # refused by the probe, as from any other net
            return values  # type: ignore[no-any-return]
        try:
            yes = values.reshape(images.shape[0], 1)
        except RuntimeError as error:
            raise ScoringError(not_one(tuple(values.shape))) from error
        no = 1 - yes if self.confidences else torch.zeros_like(yes)
        return torch.cat([no, yes], 1)
