"""A net with one output as one of two classes."""

from __future__ import annotations

import torch
from torch import nn

from evofool.classifiers.checks.answers import not_one
from evofool.errors import ClassifierError


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
        values: torch.Tensor = self.net(images)
        try:
            yes = values.reshape(images.shape[0], 1)
        except RuntimeError as error:
            raise ClassifierError(not_one(tuple(values.shape))) from error
        no = 1 - yes if self.confidences else torch.zeros_like(yes)
        return torch.cat([no, yes], 1)
