"""Tables of the colour conversions, which back ends share."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from evofool.render.layers.colour import colour_matrix, tone


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


@cache
def natural_parts() -> NDArray[np.float32]:
    """What each of three 8-bit levels adds to red, green and blue where colours are natural.

    3 x 3 x 256 float32 (primary, channel, level), on a scale of 255 (cached: do not write to it).
    A primary is the sum of its three parts, clipped to 0 and 255 and rounded to the nearest. The
    levels are genes a, b and c of the colours of `evofool.render.layers`, by 255.
    """
    matrix = colour_matrix(3, "natural").astype(np.float64)
    genes = np.tile(np.arange(256) / 255, (3, 1)).astype(np.float32)
    genes[1:] = tone(genes[1:])
    parts = matrix[:, :3, None] * genes
    parts[:, 0] += matrix[:, 3:]
    table: NDArray[np.float32] = (255 * parts).astype(np.float32)
    return table
