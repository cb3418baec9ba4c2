"""Statistical tests of one method against another, paired by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evofool.experiments.compare.measures import MethodResults

BAR = 0.99
"""Confidence from which McNemar's test counts a class as reached."""


@dataclass(frozen=True)
class Paired:
    """One method against another on a net.

    Attributes:
        first, second: the methods.
        classes: pairs.
        effect: matched-pairs rank-biserial correlation of the log-odds, on [-1, 1]: 1 if the first
            is surer of every class.
        wilcoxon: p of Wilcoxon's signed-rank test, two-sided, after Holm's correction.
        only_first: classes that the first alone reaches.
        only_second: classes that the second alone reaches.
        mcnemar: p of McNemar's exact test, after Holm's correction.
    """

    first: str
    second: str
    classes: int
    effect: float
    wilcoxon: float
    only_first: int
    only_second: int
    mcnemar: float


def paired(outcomes: Sequence[MethodResults]) -> list[Paired]:
    """Every method of a net against every other; each kind of test is corrected for all pairs.

    A class has one value a method, the median over the seeds: seeds of one class go together, and
    must not count as so many pairs.
    """
    pairs = list(combinations(outcomes, 2))
    ranks = [signed_ranks(a.by_class - b.by_class) for a, b in pairs]
    apart = [_apart(a.reaches(BAR), b.reaches(BAR)) for a, b in pairs]
    wilcoxon = holm([p for p, _ in ranks])
    mcnemar = holm([exact_mcnemar(*counts) for counts in apart])
    return [
        Paired(
            a.arm.title, b.arm.title, a.final.shape[1], ranks[k][1], wilcoxon[k], *apart[k],
            mcnemar[k],
        )
        for k, (a, b) in enumerate(pairs)
    ]  # fmt: skip


def signed_ranks(differences: NDArray[np.float64]) -> tuple[float, float]:
    """p of Wilcoxon's signed-rank test, two-sided, and the rank-biserial correlation.

    Differences of zero are left out, as Wilcoxon did; if all are zero, p is 1.

    Args:
        differences: float64, (n,): one a class.
    """
    kept = differences[differences != 0]
    if not len(kept):
        return 1.0, 0.0
    ranks = stats.rankdata(np.abs(kept))
    effect = float((ranks * np.sign(kept)).sum() / ranks.sum())
    return float(stats.wilcoxon(kept).pvalue), effect


def least_p(classes: int, pairs: int) -> float:
    """The smallest p that Wilcoxon's test of so many classes can give after Holm's correction."""
    return min(1.0, float(pairs * 2.0 ** (1 - classes)))


def exact_mcnemar(only_first: int, only_second: int) -> float:
    """p of McNemar's exact test: of the pairs that differ, is either side favoured?"""
    n = only_first + only_second
    return 1.0 if n == 0 else float(stats.binomtest(only_first, n, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """`p_values` after Holm's correction (1979) for as many tests, in the same order."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, k in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, (len(p_values) - rank) * p_values[k])
        adjusted[k] = min(1.0, largest)
    return adjusted


def _apart(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int]:
    return int((first & ~second).sum()), int((second & ~first).sum())
