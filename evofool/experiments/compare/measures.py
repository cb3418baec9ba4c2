"""What searches came to: confidences over cost, and intervals over the seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.trace import LARGEST
from evofool.experiments.compare.searched import spent_by
from evofool.experiments.compare.searches import Arm
from evofool.experiments.compare.works import BARS, SearchRow
from evofool.experiments.engine import Results
from evofool.randomness import Stream, generator
from evofool.report.tables import Estimate
from evofool.scoring.ranking import sigmoid

DRAWS = 2000
"""Bootstrap samples."""
LEVEL = (2.5, 97.5)
"""Percentiles that bound an interval."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class MethodResults:
    """All that the searches of a method on a net came to.

    Attributes:
        arm: the method on the net.
        seeds: S of them.
        costs: (K,) int64, forward-equivalents over all classes.
        log_odds: S x classes x K, the best up to each cost; NaN where there was no picture yet.
        final: S x classes, log-odds of the saved pictures; NaN where there is none.
        predicted: int64 S x classes, what the net calls them; -1 where there is none.
        reached: int64 S x classes x bars, forward-equivalents over all classes at which each bar
            was reached first; 0 where it never was.
        spent: what every seed sent, verification included.
        seconds: of every seed.
    """

    arm: Arm
    seeds: tuple[int, ...]
    costs: NDArray[np.int64]
    log_odds: Values
    final: Values
    predicted: NDArray[np.int64]
    reached: NDArray[np.int64]
    spent: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def sought(self) -> NDArray[np.bool_]:
        """(classes,): which classes the method is after."""
        if self.arm.sought is None:
            return np.ones(self.final.shape[1], np.bool_)
        mask: NDArray[np.bool_] = np.isin(np.arange(self.final.shape[1]), self.arm.sought)
        return mask

    @property
    def medians(self) -> Values:
        """S x K: median over the classes of the confidence; NaN before each has a picture."""
        values: Values = np.median(sigmoid(self.log_odds[:, self.sought]), axis=1)
        return values

    def shares(self, bar: int) -> Values:
        """S x K: share of the classes at bar `bar` of `BARS`."""
        reached = self.reached[:, self.sought, bar, None]
        passed = (reached > 0) & (reached <= self.costs)
        values: Values = passed.mean(axis=1)
        return values

    @property
    def confidence(self) -> Values:
        """S x classes sought: confidence of the saved pictures, 0 where there is none."""
        return np.nan_to_num(sigmoid(self.final[:, self.sought]), nan=0.0)

    @property
    def by_class(self) -> Values:
        """(classes,): median over the seeds of the final log-odds; -`LARGEST` for no picture, NaN
        for a class that is not sought."""
        values: Values = np.median(np.nan_to_num(self.final, nan=-LARGEST), axis=0)
        return np.where(self.sought, values, np.nan)

    @property
    def typical(self) -> float:
        """The median of `by_class` over the classes sought."""
        return float(np.median(self.by_class[self.sought]))

    def reaches(self, bar: float) -> NDArray[np.bool_]:
        """(classes,): whether most seeds have a picture of the class with confidence `bar`."""
        values = np.zeros(self.final.shape[1], np.bool_)
        values[self.sought] = (self.confidence >= bar).mean(axis=0) > 0.5
        return values

    def half_way(self, bar: int) -> Values:
        """(S,): cost at which half of the classes were at a bar; infinite where they never were."""
        reached = self.reached[:, self.sought, bar]
        costs = np.where(reached > 0, reached, np.inf)
        ordered = np.sort(costs, axis=1)
        values: Values = ordered[:, (costs.shape[1] - 1) // 2]
        return values


def read(arm: Arm, results: Results, classes: int) -> MethodResults:
    """The rows of a method's works as arrays.

    Raises:
        StoreError: a row is damaged.
    """
    seeds = tuple(arm.runs)
    rows = {seed: results.rows(work, SearchRow) for seed, work in arm.runs.items()}
    first = next((row for of_seed in rows.values() for row in of_seed), None)
    own = first.costs if first is not None else (1,)
    odds = np.full((len(seeds), classes, len(own)), np.nan)
    final = np.full((len(seeds), classes), np.nan)
    predicted = np.full((len(seeds), classes), -1, np.int64)
    reached = np.zeros((len(seeds), classes, len(BARS)), np.int64)
    for s, seed in enumerate(seeds):
        for row in rows[seed]:
            odds[s, row.item] = [np.nan if v is None else v for v in row.log_odds]
            final[s, row.item], predicted[s, row.item] = row.final, row.predicted
            reached[s, row.item] = row.reached
    costs = [spent_by(results, work) for work in arm.runs.values()]
    return MethodResults(
        arm, seeds, np.array(own, np.int64) * arm.classes, odds, final, predicted,
        reached * arm.classes, tuple(c.forward_equivalents for c in costs),
        tuple(c.seconds for c in costs),
    )  # fmt: skip


def interval(
    values: Values, seed: int, middle: Callable[..., Values] = np.median
) -> tuple[Values, Values, Values]:
    """The middle over the seeds and its 95 % percentile bootstrap interval (Efron 1979).

    Of few seeds it can be no wider than from the smallest to the largest; of one it is that one.

    Args:
        values: S x P, float64, or (S,): one row a seed.
        seed: of the draws.
        middle: as `numpy.median`, by default that.

    Returns:
        middle, low, high, each (P,) as a row of `values`.
    """
    n = len(values)
    rng = generator(seed, Stream.BOOTSTRAP, n, 0)
    drawn = rng.integers(n, size=(DRAWS, n))
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(middle(values[drawn], axis=1), LEVEL, axis=0)
        return middle(values, axis=0), low, high


def estimate(values: Values, seed: int, middle: Callable[..., Values] = np.median) -> Estimate:
    """The same of one number a seed, (S,).

    Args:
        values: (S,), float64: one per seed.
    """
    mid, low, high = interval(values, seed, middle)
    return Estimate(float(mid), float(low), float(high))
