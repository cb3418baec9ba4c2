"""A recogniser of four signs on 3 x 32 x 32 pictures, with weights that come from a seed."""

from __future__ import annotations

import torch
from torch import nn

from evofool.classifiers import Classifier, from_module

LABELS = ("ahead", "bend", "cross", "dip")
SIDE = 32


def victim() -> Classifier:
    """Four classes."""
    weights = torch.randn(len(LABELS), 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(1))
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, len(LABELS)))
    with torch.no_grad():
        net[1].weight.copy_(weights / 32)
        net[1].bias.zero_()
    return from_module(net, input_shape=(3, SIDE, SIDE), name="signs", labels=LABELS)
