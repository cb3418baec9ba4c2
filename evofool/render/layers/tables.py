"""Noise as tables: values of periodic fields on the unit square, looked up and not calculated.

Values are replaced by their ranks, so that each table is uniform on [0, 1]: a threshold at t shows
a share of t, whatever the noise.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SIDE = 256
"""Of a table, a power of two."""
CELLS = 16
"""Of the coarsest noise and of the points along a side."""

_SEED = 2015_06_07
Floats = NDArray[np.float64]


@cache
def noise_tables() -> NDArray[np.float32]:
    """Smooth noise, fractal noise, cells and cracks, 4 x 256 x 256 float32 (cached: do not write).

    Cells are the distance to the nearest of scattered points, cracks how much farther the second
    nearest is (Worley, "A cellular texture basis function", SIGGRAPH 1996).
    """
    rng = np.random.default_rng(_SEED)
    smooth = _smooth(rng, CELLS)
    octaves = [c for c in (16, 32, 64, 128) if c <= SIDE // 2]
    fractal = sum((_smooth(rng, c) * (CELLS / c) for c in octaves), np.zeros((SIDE, SIDE)))
    nearest, second = _distances(rng)
    fields = [_ranked(field) for field in (smooth, fractal, nearest, second - nearest)]
    return np.ascontiguousarray(np.stack(fields), dtype=np.float32)


def _smooth(rng: np.random.Generator, cells: int) -> Floats:
    """Value noise: random numbers on a grid, with a smooth step between them."""
    grid = rng.random((cells, cells))
    at = np.arange(SIDE) * cells / SIDE
    low = at.astype(int)
    f = at - low
    f = f * f * (3 - 2 * f)
    high = (low + 1) % cells
    rows = grid[low] * (1 - f)[:, None] + grid[high] * f[:, None]
    noise: Floats = rows[:, low] * (1 - f) + rows[:, high] * f
    return noise


def _distances(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """To the nearest and the second nearest of one point in every cell, across the border."""
    jitter = rng.random((CELLS, CELLS, 2))
    centre = (np.arange(SIDE) + 0.5) / SIDE * CELLS
    own = centre.astype(int)
    squares = []
    for down in range(-2, 3):
        for across in range(-2, 3):
            i, j = own + down, own + across
            point = jitter[i[:, None] % CELLS, j[None, :] % CELLS]
            dy = point[..., 0] + i[:, None] - centre[:, None]
            dx = point[..., 1] + j[None, :] - centre[None, :]
            squares.append(dy * dy + dx * dx)
    # a square root is exact on every machine, a hypotenuse is not
    nearest, second = np.sqrt(np.partition(np.stack(squares), 1, axis=0)[:2])
    return nearest, second


def _ranked(field: Floats) -> Floats:
    rank = np.empty(field.size)
    rank[np.argsort(field.ravel(), kind="stable")] = (np.arange(field.size) + 0.5) / field.size
    return rank.reshape(field.shape)
