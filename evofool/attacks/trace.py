"""How far an attack has come after each power of two of its cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evofool.errors import UsageError
from evofool.images import Shape, UInt8Images

LARGEST = 1000.0
"""Log-odds are cut to +-this: a probability that is exactly 0 or 1 has infinite ones."""


def powers_of_two(share: int) -> NDArray[np.int64]:
    """1, 2, 4, ... below `share`, then `share` itself: (K,)."""
    powers = [1 << k for k in range(share.bit_length()) if 1 << k < share]
    return np.array([*powers, share], np.int64)


class Trace:
    """The best 8-bit picture of each of N searches, over what the search has cost.

    A search is the way of one image to one class. What it has cost is counted in
    *forward-equivalents*: images that went forward through the net plus twice the images that
    gradients were taken of. Pictures beyond `share` are not looked at.

    Args:
        share: forward-equivalents that each search may cost, at least 1.
        bars: log-odds whose first passing is noted.

    Attributes:
        costs: (K,), see `powers_of_two`.
        log_odds: float64 N x K, the best log-odds up to each of `costs`; NaN before the first
            picture.
        reached: int64 N x bars, the cost at which each of `bars` was reached first; 0 where it
            never was.
        best: (N,), the best log-odds of all.
        pictures: uint8 N x C x H x W, the picture with these.

    Raises:
        UsageError: `share` is below 1.
    """

    def __init__(self, share: int, bars: Sequence[float] = ()) -> None:
        if share < 1:
            raise UsageError(f"a trace needs a share of at least 1 forward-equivalent, not {share}")
        self.share = share
        self.bars = np.array(bars, np.float64)
        self.costs = powers_of_two(share)
        self._reset(0, (0, 0, 0))

    def begin(self, n: int, shape: Shape) -> None:
        """Forget everything, for `n` searches after pictures of `shape`."""
        self._reset(n, shape)

    def saw(
        self,
        rows: NDArray[np.int64],
        pictures: UInt8Images,
        log_odds: NDArray[np.float64],
        costs: NDArray[np.int64],
    ) -> None:
        """Take notice of scored pictures.

        Args:
            rows: (n,), the searches that they belong to; one may come several times.
            pictures: uint8 n x C x H x W.
            log_odds: (n,), of the class that each search is after; NaN where there are no scores.
            costs: (n,), of the search up to and with the picture; they grow along each search.
        """
        odds = np.clip(log_odds, -LARGEST, LARGEST)
        with np.errstate(invalid="ignore"):  # NaN is no progress
            some = np.flatnonzero((odds > self.best[rows]) & (costs <= self.share))
        for k in some.tolist():
            row, value = int(rows[k]), float(odds[k])
            if value <= self.best[row]:  # by an earlier picture of the same call
                continue
            cost = int(costs[k])
            self.best[row] = value
            self.pictures[row] = pictures[k]
            self.log_odds[row, self.costs >= cost] = value
            new = (self.reached[row] == 0) & (value >= self.bars)
            self.reached[row, new] = cost

    def _reset(self, n: int, shape: Shape) -> None:
        self.log_odds = np.full((n, len(self.costs)), np.nan)
        self.reached = np.zeros((n, len(self.bars)), np.int64)
        self.best = np.full(n, -np.inf)
        self.pictures: UInt8Images = np.zeros((n, *shape), np.uint8)


def running_costs(rows: NDArray[np.int64], now: NDArray[np.int64], each: int) -> NDArray[np.int64]:
    """What searches had cost when each of several pictures was scored, which are booked at once.

    Args:
        rows: (n,), the search of each picture, in the order of scoring.
        now: (N,), what each search has cost after all of them.
        each: forward images a picture.

    Returns:
        (n,), int64.
    """
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(rows) else order
    sizes = np.diff(np.r_[starts, len(rows)])
    later = np.empty(len(rows), np.int64)
    later[order] = np.repeat(sizes + starts, sizes) - np.arange(len(rows)) - 1
    found: NDArray[np.int64] = now[rows] - each * later
    return found
