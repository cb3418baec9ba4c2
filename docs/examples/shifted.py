"""A complete defense in one file: the net is shown every picture moved by a few pixels.

Name it in a config as ``defense: {name: docs/examples/shifted.py:Shifted, pixels: 2}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from evofool.defenses.transforms import Transform
from evofool.errors import UsageError
from evofool.images import UInt8Images


@dataclass(frozen=True)
class Shifted(Transform):
    """Moves a picture to the right; what leaves it comes in again on the left.

    Attributes:
        pixels: how far.
    """

    name: ClassVar[str] = "shifted"

    pixels: int = 1

    def __post_init__(self) -> None:
        if self.pixels < 0:
            raise UsageError(f"{self.name}: pixels must be at least 0, not {self.pixels}")

    def apply(self, pictures: UInt8Images) -> UInt8Images:
        """What the net is really shown: uint8 N x C x H x W to the same shape."""
        return np.ascontiguousarray(np.roll(pictures, self.pixels, axis=3))

    def stand_in(self, x: torch.Tensor) -> torch.Tensor:
        """What an attack that knows the defense differentiates, on [0, 1]."""
        return torch.roll(x, self.pixels, 3)
