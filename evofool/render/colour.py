"""What the colour conversions of the torch and Triton back ends share."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


@cache
def fullness() -> NDArray[np.float32]:
    """How full red, green and blue are at each 8-bit hue, 3 x 256 float32 on [0, 1] (cached: do
    not write to it).

    Computed as `evofool.render.kernel` does it for every pixel, bit by bit. A table costs less
    than the comparisons where those do not stay in registers, and leaves a compiler no choice of
    rounding: HSV has ties between two levels, which the last bit decides.
    """
    one_step = np.float32(6 / 180)  # of the colour circle's six sectors, 2 degrees
    six, four, three, two = (np.float32(sectors) for sectors in (6, 4, 3, 2))
    h = np.arange(256, dtype=np.float32) * one_step
    h = np.where(h < six, h, h - six)
    red = np.where(h < three, two - h, h - four)
    green = np.where(h < two, h, four - h)
    blue = np.where(h < four, h - two, six - h)
    full: NDArray[np.float32] = np.stack([red, green, blue]).clip(np.float32(0), np.float32(1))
    return full
