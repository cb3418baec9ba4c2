"""The bumps of the Square attack in L2 (Andriushchenko et al., ECCV 2020, section 4.4)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=256)
def bump(side: int, turned: bool) -> NDArray[np.float64]:
    """A side x side patch of Euclidean length 1: positive in one half, negative in the other.

    The halves are the upper and the lower one, or if `turned` the left and the right one.
    Each half is largest in its middle: at maximum-norm distance d from there it is the sum of
    1/(k+1)^2 over k from d on.
    """
    half = side // 2
    hills = np.concatenate([_hill(half, side), -_hill(side - half, side)])
    hills /= max(float(np.sqrt((hills**2).sum())), 1e-20)
    hills = hills.T.copy() if turned else hills
    hills.flags.writeable = False  # it is shared
    return hills


def _hill(height: int, width: int) -> NDArray[np.float64]:
    if height == 0:
        return np.zeros((0, width))
    far = max(height // 2, width // 2)
    tail = np.cumsum((1.0 / np.arange(1, far + 2) ** 2)[::-1])[::-1]
    row = np.abs(np.arange(height) - height // 2)[:, None]
    column = np.abs(np.arange(width) - width // 2)[None, :]
    hill = tail[np.maximum(row, column)]
    length: NDArray[np.float64] = hill / np.sqrt((hill**2).sum())
    return length


def tiles(height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """(top, left, side) of the squares that the first perturbation is made of, about five a row."""
    side = max(min(height, width) // 5, 1)
    for top in range((height % side) // 2, height - side + 1, side):
        for left in range((width % side) // 2, width - side + 1, side):
            yield top, left, side
