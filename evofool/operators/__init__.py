"""Variation of genes on [0, 1], vectorised: polynomial mutation and simulated binary crossover.

Both take float32 genes of shape (n,), return new arrays, and draw from `rng` alone; there is no
Python loop over genes. `polynomial_mutations` and `sbx_pairs` do the same for many genomes at once,
to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.operators.streams import Places, streams_of
from evofool.randomness import Generators

__all__ = [
    "SPARSE",
    "Genes",
    "polynomial_mutation",
    "polynomial_mutations",
    "sbx",
    "sbx_pairs",
    "vary",
]

Genes: TypeAlias = NDArray[np.float32]
"""float32 (n,) on [0, 1]."""

SPARSE = 1 / 64
"""Below this rate of mutation drawing places is cheaper than drawing a number for every gene."""
_BLOCK = 65536
"""Genes, about, that are varied in one go: what is computed on the way stays in the cache."""


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
        vary(changed, places, rng.random(len(places)), eta)
    return changed


def polynomial_mutations(
    genomes: Sequence[Genes], generators: Generators, rate: float, eta: float = 15.0
) -> list[Genes]:
    """What `polynomial_mutation` gives for each of N genomes with its own generator.

    Args:
        genomes: N float32 arrays on [0, 1], all of one shape, whatever it is.
        generators: N.
        rate: as of `polynomial_mutation`.
        eta: likewise.
    """
    if rate < SPARSE:
        return [
            polynomial_mutation(genes.reshape(-1), rng, rate, eta).reshape(genes.shape)
            for genes, rng in zip(genomes, generators, strict=True)
        ]
    children: list[Genes] = []
    for rows in _blocks(genomes):
        changed = np.stack(genomes[rows])
        ends = np.arange(len(changed) + 1, dtype=np.int64) * changed[0].size
        places, u = streams_of(generators.part(rows)).mutations(ends, rate)
        vary(changed.reshape(-1), places, u, eta)
        children += [row.copy() for row in changed]  # a survivor must not keep all of them
    return children


def vary(genes: Genes, places: Places, u: NDArray[np.float64], eta: float) -> None:
    """The formula of `polynomial_mutation`: changes `genes`, float32 (n,), at `places`.

    Args:
        genes: float32 (n,) on [0, 1], written.
        places: int64 (K,), indices of `genes`, none of them twice.
        u: (K,) on [0, 1).
        eta: distribution index.
    """
    u = 2.0 * u - 1.0
    # With w = 1 - |2u - 1| both branches are 1 - w^(1 / (eta + 1)), to the side u lies on.
    delta = np.copysign(1.0 - (1.0 - np.abs(u)) ** (1.0 / (eta + 1.0)), u)
    moved = genes[places] + delta
    genes[places] = np.minimum(np.maximum(moved, 0.0), 1.0)


def _blocks(genomes: Sequence[Genes]) -> Iterator[slice]:
    """Rows of `genomes`, some `_BLOCK` genes at a time."""
    step = max(1, _BLOCK // max(1, genomes[0].size)) if genomes else 1
    return (slice(start, start + step) for start in range(0, len(genomes), step))


def _places(n: int, rng: np.random.Generator, rate: float) -> NDArray[np.intp]:
    """The indices of the genes that change, each with probability `rate`."""
    if rate >= SPARSE:
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
    u = rng.random(len(first), dtype=np.float32)
    swap = rng.integers(0, 2, size=len(first), dtype=np.uint8).astype(np.bool_)
    return _crossed(first, second, u, swap, eta, equal_to_half)


def sbx_pairs(
    firsts: Sequence[Genes],
    seconds: Sequence[Genes],
    generators: Generators,
    share: float,
    eta: float = 10.0,
    equal_to_half: bool = False,
) -> dict[int, tuple[Genes, Genes]]:
    """`sbx` of a random share of N pairs: two children for the number of each that is crossed.

    Each generator first draws a number on [0, 1), and its pair is crossed if that is below
    `share`, by what it draws then.

    Args:
        firsts: N float32 arrays on [0, 1], all of one shape, whatever it is.
        seconds: likewise.
        generators: N.
        share: probability of a pair to be crossed.
        eta: as of `sbx`.
        equal_to_half: likewise.
    """
    crosses: dict[int, tuple[Genes, Genes]] = {}
    for rows in _blocks(firsts):
        drawing = streams_of(generators.part(rows))
        crossed = np.flatnonzero(drawing.random() < share)
        if not len(crossed):
            continue
        chosen = (crossed + rows.start).tolist()
        one, two = (np.stack([some[k] for k in chosen]) for some in (firsts, seconds))
        u, swap = drawing.only(crossed).crossovers(one[0].size)
        shape = one.shape
        children = _crossed(one, two, u.reshape(shape), swap.reshape(shape), eta, equal_to_half)
        for k, child, other in zip(chosen, *children, strict=True):
            crosses[k] = child.copy(), other.copy()
    return crosses


def _crossed(
    first: Genes,
    second: Genes,
    u: Genes,
    swap: NDArray[np.bool_],
    eta: float,
    equal_to_half: bool,
) -> tuple[Genes, Genes]:
    """The formula of `sbx`, for arrays of one shape, whatever it is."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    gap = high - low
    equal = gap <= np.finfo(np.float32).eps
    np.copyto(gap, 1.0, where=equal)  # any divisor will do, the result is replaced below
    power = np.float32(eta + 1.0)
    half = np.multiply(gap, 0.5, dtype=np.float32)
    middle = np.multiply(low + high, 0.5, dtype=np.float32)
    lower = np.subtract(middle, half * _spread(u, np.divide(low, half), power))
    upper = np.add(middle, half * _spread(u, np.divide(1 - high, half), power))
    child, other = np.where(swap, upper, lower), np.where(swap, lower, upper)
    for genes, parent in ((child, first), (other, second)):
        np.clip(genes, 0.0, 1.0, out=genes)
        np.copyto(genes, np.float32(0.5) if equal_to_half else parent, where=equal)
    return child, other


def _spread(u: Genes, distance: Genes, power: np.float32) -> Genes:
    """The spread factor for a bound at `distance` half gaps from the gene."""
    alpha = 2 - (1 + distance) ** -power
    scaled = u * alpha
    base = np.where(scaled <= 1, scaled, 1 / (2 - scaled))  # scaled < 2, as alpha <= 2 and u < 1
    spread: Genes = base ** (1 / power)
    return spread
