"""A white-box victim whose arithmetic is exact on pictures: the same result in every batch."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import torch
from torch import nn

from evofool.classifiers import Classifier, from_module

CLASSES = 7
SIDE = 6
_batches = itertools.count(1)


def _pace() -> None:
    """What a test asks for: be slow, and after so many batches wait as long as a file is there."""
    time.sleep(float(os.environ.get("TOY_SECONDS_A_BATCH", "0")))
    if next(_batches) > int(os.environ.get("TOY_BATCHES", "1000000000")):
        while Path(os.environ["TOY_HOLD"]).exists():
            time.sleep(0.01)


class Linear(nn.Module):
    """Integer weights on integer levels: every sum is exact in float32, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        pixels = torch.arange(SIDE * SIDE)
        rows = [(pixels * (3 * c + 5) + c * c) % 23 - 11 for c in range(CLASSES)]
        self.register_buffer("weights", torch.stack(rows).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _pace()
        levels = x.flatten(1) * 255  # k / 255 * 255 is k again in float32
        return levels @ self.weights.T / 4096


def victim() -> Classifier:
    """Seven classes on 1 x 6 x 6 pictures."""
    return from_module(Linear(), input_shape=(1, SIDE, SIDE), name="linear")


def named() -> Classifier:
    """The same, with names for the classes that are hard on whoever reads them."""
    labels = ["zero", "one, uno", "=2+2", "-3", "@four", "+five", "six"]
    return from_module(Linear(), input_shape=(1, SIDE, SIDE), name="linear", labels=labels)
