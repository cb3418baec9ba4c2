"""A net that ends in radial basis functions: it is confident only near its training data."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from evofool.classifiers.nets.lenet import LeNet
from evofool.images import Shape

START = 0.1
"""softplus(beta) before training; small enough that no class is given up at once."""


class RbfHead(nn.Module):
    """log p_k = -softplus(beta_k) ||h - c_k||^2, at most 0: one bump a class.

    Unlike a softmax's, the confidences p_k do not depend on each other: where no bump reaches, all
    are near 0. Goodfellow et al. (ICLR 2015, 1412.6572, section 7) compare such units, there over
    the pixels themselves, with softmax nets.

    Args:
        features: length of h.
        n_classes: number of bumps.
    """

    def __init__(self, features: int, n_classes: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(n_classes, features) * 0.3)
        inverse = torch.tensor(START).expm1().log()  # of softplus
        self.beta = nn.Parameter(inverse.repeat(n_classes))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 N x features to log-confidences, N x classes."""
        # the differences themselves: expanded squares would cancel near a centre
        squares = (hidden[:, None, :] - self.centres).square().sum(-1)
        return -functional.softplus(self.beta) * squares


class LeNetRbf(LeNet):
    """`LeNet` with an `RbfHead` on its 500 hidden units instead of a linear layer.

    Args:
        input_shape: channels, height and width.
        n_classes: number of outputs.

    Raises:
        ValueError: an image shorter than 13 pixels.
    """

    def __init__(self, input_shape: Shape = (1, 28, 28), n_classes: int = 10) -> None:
        super().__init__(input_shape, n_classes)
        self.ip2 = RbfHead(self.ip1.out_features, n_classes)
