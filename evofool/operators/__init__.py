"""Variation of genes on [0, 1], vectorised: polynomial mutation and simulated binary crossover.

Both take float32 genes of shape (n,), return new arrays, and draw from `rng` alone; there is no
Python loop over genes.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Genes: TypeAlias = NDArray[np.float32]
"""float32 (n,) on [0, 1]."""

_SPARSE = 1 / 64
"""Below this rate drawing the places is cheaper than drawing a number for every gene."""


def polynomial_mutation(
    genes: Genes, rng: np.random.Generator, rate: float, eta: float = 15.0
) -> Genes:
    """A copy of `genes` in which each gene has changed with probability `rate`.

    Polynomial mutation in the simple form of Deb and Goyal 1996 ("A combined genetic adaptive
    search (GeneAS) for engineering design"), with u uniform on [0, 1)::

        delta = (2 u)^(1 / (eta + 1)) - 1               u < 1/2
                1 - (2 (1 - u))^(1 / (eta + 1))         otherwise
        gene' = clip(gene + delta, 0, 1)

    Args:
        genes: (n,) float32 on [0, 1].
        rng: where randomness comes from.
        rate: probability of a gene to change, on [0, 1].
        eta: distribution index, at least 0; larger stays closer.
    """
    changed = genes.copy()
    places = _places(len(genes), rng, rate)
    if len(places):
        u = 2.0 * rng.random(len(places)) - 1.0
        # With w = 1 - |2u - 1| both branches are 1 - w^(1 / (eta + 1)), to the side u lies on.
        delta = np.copysign(1.0 - (1.0 - np.abs(u)) ** (1.0 / (eta + 1.0)), u)
        moved = genes[places] + delta
        changed[places] = np.minimum(np.maximum(moved, 0.0), 1.0)
    return changed


def _places(n: int, rng: np.random.Generator, rate: float) -> NDArray[np.intp]:
    """The indices of the genes that change, each with probability `rate`."""
    if rate >= _SPARSE:
        return np.flatnonzero(rng.random(n, dtype=np.float32) < rate)
    count = rng.binomial(n, rate)
    return np.asarray(rng.choice(n, size=count, replace=False, shuffle=False), dtype=np.intp)


def sbx(
    first: Genes,
    second: Genes,
    rng: np.random.Generator,
    eta: float = 10.0,
    equal_to_half: bool = False,
) -> tuple[Genes, Genes]:
    """Two children by simulated binary crossover, bounded to [0, 1], of every gene.

    Deb and Agrawal 1995 ("Simulated binary crossover for continuous search space"), with the
    spread limited by the nearer bound as in Deb's NSGA-II code. For parents' genes a < b, u
    uniform on [0, 1) and a bound at distance d from the gene it limits (a - 0, then 1 - b)::

        alpha = 2 - (1 + 2 d / (b - a))^-(eta + 1)
        spread = (u alpha)^(1 / (eta + 1))              u <= 1 / alpha
                 (1 / (2 - u alpha))^(1 / (eta + 1))    otherwise
        children: (a + b)/2 -+ spread (b - a)/2

    A fair coin decides which child gets the lower gene. Where the parents' genes are equal (to
    float32's epsilon), so are the children's.

    Args:
        first: (n,) float32 on [0, 1].
        second: (n,) float32 on [0, 1].
        rng: where randomness comes from.
        eta: distribution index, at least 0; larger stays closer to the parents.
        equal_to_half: sets both children to 1/2 where the parents' genes are equal, the
            behaviour of the code Nguyen et al. 2015 released.

    Returns:
        Two arrays (n,) float32 on [0, 1].
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    gap = high - low
    equal = gap <= np.finfo(np.float32).eps
    gap[equal] = 1.0  # any divisor will do, the result is replaced below
    power = np.float32(eta + 1.0)
    u = rng.random(len(first), dtype=np.float32)
    half = np.multiply(gap, 0.5, dtype=np.float32)
    middle = np.multiply(low + high, 0.5, dtype=np.float32)
    lower = np.subtract(middle, half * _spread(u, np.divide(low, half), power))
    upper = np.add(middle, half * _spread(u, np.divide(1 - high, half), power))
    swap = rng.integers(0, 2, size=len(first), dtype=np.uint8).astype(np.bool_)
    child, other = np.where(swap, upper, lower), np.where(swap, lower, upper)
    for genes, parent in ((child, first), (other, second)):
        np.clip(genes, 0.0, 1.0, out=genes)
        genes[equal] = np.float32(0.5) if equal_to_half else parent[equal]
    return child, other


def _spread(u: Genes, distance: Genes, power: np.float32) -> Genes:
    """The spread factor for a bound at `distance` half gaps from the gene."""
    alpha = 2 - (1 + distance) ** -power
    scaled = u * alpha
    base = np.where(scaled <= 1, scaled, 1 / (2 - scaled))  # scaled < 2, as alpha <= 2 and u < 1
    spread: Genes = base ** (1 / power)
    return spread
