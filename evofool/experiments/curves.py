"""How sure a net grows of evolved pictures: medians over seeds, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evofool.errors import StoreError
from evofool.randomness import Stream, generator
from evofool.store import RunFolder

DRAWS = 2000
"""Bootstrap samples."""


@dataclass(frozen=True)
class Curve:
    """Evolution against one net with one encoding.

    Attributes:
        net: by name.
        encoding: by name.
        seeds: one run each.
        evaluations: P numbers of images scored.
        confidence: seeds x P medians, over the cells, of the confidence in the cell's class.
    """

    net: str
    encoding: str
    seeds: tuple[int, ...]
    evaluations: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def median(self) -> NDArray[np.float64]:
        """P medians over the seeds."""
        found: NDArray[np.float64] = np.median(self.confidence, axis=0)
        return found

    def interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """P bounds of the 95 % percentile bootstrap interval of `median` (Efron 1979).

        Whole curves are drawn, since points of one curve go together. Of few seeds it can be no
        wider than from the smallest to the largest.
        """
        rng = generator(0, Stream.BOOTSTRAP, len(self.seeds), 0)
        drawn = rng.integers(len(self.seeds), size=(DRAWS, len(self.seeds)))
        medians = np.median(self.confidence[drawn], axis=1)
        low, high = np.percentile(medians, (2.5, 97.5), axis=0)
        return low, high


def read_curve(net: str, encoding: str, seeds: Sequence[int], runs: Sequence[Path]) -> Curve:
    """A curve from the run folders of its seeds.

    Raises:
        StoreError: one is missing or damaged, or they were not scored at the same evaluations.
    """
    counts: list[list[int]] = []
    medians: list[list[float]] = []
    for path in runs:
        with RunFolder.open(path) as run:
            rows = run.generations()
        counts.append([row.evaluations for row in rows])
        medians.append([float(row.stats.get("median", np.nan)) for row in rows])
    if any(count != counts[0] for count in counts) or not counts[0]:
        raise StoreError(f"{runs[0].parent}: the runs of {net} and {encoding} differ in length")
    return Curve(
        net, encoding, tuple(seeds), np.array(counts[0], np.int64), np.array(medians, np.float64)
    )
