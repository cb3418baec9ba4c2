"""The pair of features that JSMA's saliency map prefers, exactly, in O(n) memory.

Each feature is a point (a, b) of the plane: its derivatives of the target and, negated, of the
others. Wanted are two points whose sum lies in the open positive quadrant with the largest product
of its coordinates. There are n^2 / 2 pairs (84 GiB of products at 150,528 features), but:

- The product grows with both coordinates of the sum, so a point that a third point dominates (>= in
  both) can be exchanged for that one. In a best pair, then, only q may dominate p and only p may
  dominate q: both lie on the first Pareto front, or one on the first and one on the second.
- Sorted by a, both fronts fall in b, so for rows p < p' and columns q < q' of products
  M[p,q] = (a_p + a_q)(b_p + b_q): M[p,q] + M[p',q'] - M[p,q'] - M[p',q]
  = (a_p - a_p')(b_q - b_q') + (b_p - b_p')(a_q - a_q') <= 0. The place of a row's maximum therefore
  never moves right as rows go down, and divide and conquer finds all of them in O(n log n).
- Two negative sums have a positive product too. In row p the first sum is positive from some column
  `low` on, the second before some column `high`: with low < high there are columns with two
  positive sums and none with two negative ones. Rows with low >= high are dropped first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

SMALL = 512
"""Rows and columns that are simply multiplied out."""


def best_pair(a: Floats, b: Floats) -> tuple[int, int] | None:
    """The i != j with the largest (a_i + a_j)(b_i + b_j), both sums above 0; None without any.

    Args:
        a: (n,), the derivatives of the target.
        b: (n,), the derivatives of the others, negated.
    """
    near = _undominated_by_two(a, b)
    first, rest = _front(a, b, near)
    second, _ = _front(a, b, rest)
    best = max(_across(a, b, first, second), _within(a, b, first))
    return None if best[0] <= 0 else (best[1], best[2])


BestPair = tuple[float, int, int]
"""A product and its pair; (0, -1, -1) is none."""
NOTHING: BestPair = (0.0, -1, -1)


def _undominated_by_two(a: Floats, b: Floats) -> Index:
    """Leaves out, in O(n), what two good points dominate at once: nearly everything, as a rule."""
    if len(a) <= 2:
        return np.arange(len(a))
    height = a / max(float(np.abs(a).max()), 1e-300) + b / max(float(np.abs(b).max()), 1e-300)
    one, two = np.argpartition(height, -2)[-2:]
    keep = (a > min(a[one], a[two])) | (b > min(b[one], b[two]))
    keep[[one, two]] = True
    return np.flatnonzero(keep)


def _front(a: Floats, b: Floats, among: Index) -> tuple[Index, Index]:
    """The Pareto front of `among` with a rising and b falling, and the rest.

    Of equal points only one counts as undominated.
    """
    order = among[np.lexsort((among, -b[among], -a[among]))]
    height = np.maximum.accumulate(b[order]) if len(order) else b[order]
    on = np.ones(len(order), np.bool_)
    on[1:] = b[order][1:] > height[:-1]
    return order[on][::-1], order[~on]


def _within(a: Floats, b: Floats, front: Index) -> BestPair:
    """The best of two different points of one front: of both halves, or across them."""
    if len(front) <= SMALL:
        return _multiplied_out(a, b, front, front)
    middle = len(front) // 2
    left, right = front[:middle], front[middle:]
    return max(_across(a, b, left, right), _within(a, b, left), _within(a, b, right))


def _across(a: Floats, b: Floats, rows: Index, columns: Index) -> BestPair:
    """The best pair of a point of `rows` and one of `columns`, two fronts without common points."""
    if not len(rows) or not len(columns):
        return NOTHING
    # columns where both sums are positive: from `low` on, and before `high`
    low = np.searchsorted(a[columns], -a[rows], side="right")
    high = len(columns) - np.searchsorted(b[columns][::-1], -b[rows], side="right")
    rows = rows[low < high]
    if not len(rows):
        return NOTHING
    if len(rows) <= SMALL and len(columns) <= SMALL:
        return _multiplied_out(a, b, rows, columns)
    return _row_maxima(a, b, rows, columns)


def _multiplied_out(a: Floats, b: Floats, rows: Index, columns: Index) -> BestPair:
    if not len(rows):
        return NOTHING
    across = a[rows][:, None] + a[columns]
    down = b[rows][:, None] + b[columns]
    good = (across > 0) & (down > 0) & (rows[:, None] != columns)
    products = np.where(good, across * down, 0.0)
    at = int(products.argmax())
    i, j = divmod(at, len(columns))
    return float(products[i, j]), int(rows[i]), int(columns[j])


def _row_maxima(a: Floats, b: Floats, rows: Index, columns: Index) -> BestPair:
    """Divide and conquer over rows, all ranges of one depth at once."""
    best = NOTHING
    # of each open range of rows: its ends, and the columns its maxima can be in (ends included)
    top, bottom = np.array([0]), np.array([len(rows)])
    left, right = np.array([0]), np.array([len(columns) - 1])
    while len(top):
        middle = (top + bottom) // 2
        width = right - left + 1
        begins = np.cumsum(width) - width
        column = np.arange(int(width.sum())) - np.repeat(begins - left, width)
        row, other = np.repeat(rows[middle], width), columns[column]
        across, down = a[row] + a[other], b[row] + b[other]
        products = across * down
        most = np.maximum.reduceat(products, begins)
        hits = np.flatnonzero(products == np.repeat(most, width))
        whose = np.searchsorted(begins, hits, side="right") - 1
        place = np.zeros(len(top), np.int64)
        place[whose[::-1]] = column[hits[::-1]]  # the leftmost maximum of each range
        k = int(most.argmax())
        candidate = (float(most[k]), int(rows[middle[k]]), int(columns[place[k]]))
        best = max(best, candidate)
        above, below = top < middle, middle + 1 < bottom
        top, bottom, left, right = (
            np.concatenate([top[above], middle[below] + 1]),
            np.concatenate([middle[above], bottom[below]]),
            np.concatenate([place[above], left[below]]),
            np.concatenate([right[above], place[below]]),
        )
    return best
