"""Statistical tests of one method against another, paired by class where that can be."""

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
LEAST_SHARED = 6
"""Classes that two methods must share for Wilcoxon's test to tell anything: of five, its p is never
below .06."""


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


@dataclass(frozen=True)
class Unpaired:
    """One method against another where pairs by class tell nothing: too few classes are of both.

    Attributes:
        first, second: the methods.
        first_classes, second_classes: how many each is after.
        delta: Cliff's delta of the log-odds, on [-1, 1]: 1 if every class of the first is surer
            than every class of the second.
        p: of the Mann-Whitney test, two-sided, after Holm's correction.
    """

    first: str
    second: str
    first_classes: int
    second_classes: int
    delta: float
    p: float


def paired(outcomes: Sequence[MethodResults]) -> list[Paired]:
    """Every method of a net against every other that it can be paired with, see `paired_each`."""
    return paired_each(list(combinations(outcomes, 2)))


def paired_each(pairs: Sequence[tuple[MethodResults, MethodResults]]) -> list[Paired]:
    """Tests by class, of methods that are after the same classes or share `LEAST_SHARED`.

    A class has one value a method, the median over the seeds: seeds of one class go together, and
    must not count as so many pairs. Each kind of test is corrected for all pairs.

    Args:
        pairs: of methods whose classes have the same numbers.
    """
    kept = [
        (a, b, shared)
        for a, b in pairs
        if (shared := a.sought & b.sought).sum() >= LEAST_SHARED
        or (shared.any() and np.array_equal(a.sought, b.sought))
    ]
    ranks = [signed_ranks(a.by_class[shared] - b.by_class[shared]) for a, b, shared in kept]
    apart = [_apart(a.reaches(BAR) & shared, b.reaches(BAR) & shared) for a, b, shared in kept]
    wilcoxon = holm([p for p, _ in ranks])
    mcnemar = holm([exact_mcnemar(*counts) for counts in apart])
    return [
        Paired(
            a.arm.title, b.arm.title, int(shared.sum()), ranks[k][1], wilcoxon[k], *apart[k],
            mcnemar[k],
        )
        for k, (a, b, shared) in enumerate(kept)
    ]  # fmt: skip


def unpaired(outcomes: Sequence[MethodResults]) -> list[Unpaired]:
    """Every method of a net against every other that shares fewer than `LEAST_SHARED` classes.

    A class has one value a method, as in `paired_each`; p values are corrected for all pairs.
    """
    pairs = [
        (a, b) for a, b in combinations(outcomes, 2) if (a.sought & b.sought).sum() < LEAST_SHARED
    ]
    tests = [mann_whitney(a.by_class[a.sought], b.by_class[b.sought]) for a, b in pairs]
    corrected = holm([p for p, _ in tests])
    return [
        Unpaired(
            a.arm.title, b.arm.title, int(a.sought.sum()), int(b.sought.sum()), tests[k][1],
            corrected[k],
        )
        for k, (a, b) in enumerate(pairs)
    ]  # fmt: skip


def mann_whitney(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float]:
    """p of the Mann-Whitney test, two-sided, and Cliff's delta, by which its U is linear.

    Args:
        first: float64, (n,).
        second: float64, (m,).
    """
    outcome = stats.mannwhitneyu(first, second, alternative="two-sided")
    delta = 2 * float(outcome.statistic) / (len(first) * len(second)) - 1
    return float(outcome.pvalue), delta


def signed_ranks(differences: NDArray[np.float64]) -> tuple[float, float]:
    """p of Wilcoxon's signed-rank test, two-sided, and the rank-biserial correlation.

    Differences of zero are left out, as Wilcoxon did; if all are zero, p is 1.

    Args:
        differences: float64, (n,): one per class.
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
