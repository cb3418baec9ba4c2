"""How sure a net grows of evolved pictures: medians over seeds, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.errors import StoreError
from evofool.experiments.engine import Results
from evofool.experiments.works.campaign import Campaign, GenerationRow
from evofool.randomness import Stream, generator
from evofool.report.tables import Column, Count, Number, Table, Text
from evofool.store import CampaignFolder

DRAWS = 2000
"""Bootstrap samples."""


@dataclass(frozen=True)
class Curve:
    """Evolution against one net with one encoding.

    Attributes:
        net: by name.
        encoding: by name.
        seeds: one run each.
        evaluations: (P,), how many images were scored at each of P points.
        confidence: seeds x P, on [0, 1]: the median over all cells of the confidence in the
            cell's class.
    """

    net: str
    encoding: str
    seeds: tuple[int, ...]
    evaluations: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def median(self) -> NDArray[np.float64]:
        """Medians over the seeds, (P,) on [0, 1]."""
        medians: NDArray[np.float64] = np.median(self.confidence, axis=0)
        return medians

    def interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The 95 % percentile bootstrap interval of `median` (Efron 1979): two bounds, each (P,).

        Whole curves are drawn, since points of one curve go together. Of few seeds it can be no
        wider than from the smallest to the largest.
        """
        rng = generator(0, Stream.BOOTSTRAP, len(self.seeds), 0)
        drawn = rng.integers(len(self.seeds), size=(DRAWS, len(self.seeds)))
        medians = np.median(self.confidence[drawn], axis=1)
        low, high = np.percentile(medians, (2.5, 97.5), axis=0)
        return low, high


def curve_of(
    results: Results, net: str, encoding: str, seeds: Sequence[int], campaigns: Sequence[Campaign]
) -> Curve:
    """A curve from the campaigns of its seeds.

    Raises:
        StoreError: they were not scored at the same evaluations, or a row is damaged.
    """
    generations = [results.rows(campaign, GenerationRow) for campaign in campaigns]
    counts = [[row.evaluations for row in rows] for rows in generations]
    if any(count != counts[0] for count in counts) or not counts[0]:
        raise StoreError(f"the campaigns against {net} with {encoding} differ in length")
    medians = [[np.nan if row.median is None else row.median for row in rows]
               for rows in generations]  # fmt: skip
    return Curve(
        net, encoding, tuple(seeds), np.array(counts[0], np.int64), np.array(medians, np.float64)
    )


def curve_columns(*first: Column) -> list[Column]:
    """Of ``curves.csv``: what tells the curves apart, then their points."""
    return [
        *first, Count("seeds"), Count("evaluations"), Number("median_confidence"), Number("low"),
        Number("high"),
    ]  # fmt: skip


def curve_points(curve: Curve) -> Iterator[tuple[int, int, float, float, float]]:
    """The last cells of `curve_columns`, one row a point."""
    low, high = curve.interval()
    for k, evaluations in enumerate(curve.evaluations.tolist()):
        median = float(curve.median[k])
        yield len(curve.seeds), evaluations, median, float(low[k]), float(high[k])


def curves_table(curves: Sequence[Curve]) -> Table:
    """``curves.csv``: the median over seeds at each number of evaluations, and its interval."""
    rows = [(c.net, c.encoding, *point) for c in curves for point in curve_points(c)]
    return Table(curve_columns(Text("net"), Text("encoding")), rows)


def curve_json(curve: Curve) -> dict[str, Any]:
    """The end of a curve as JSON values."""
    low, high = curve.interval()
    return {
        "net": curve.net,
        "encoding": curve.encoding,
        "seeds": list(curve.seeds),
        "evaluations": int(curve.evaluations[-1]),
        "median_confidence": float(curve.median[-1]),
        "low": float(low[-1]),
        "high": float(high[-1]),
    }


def read_curve(net: str, encoding: str, seeds: Sequence[int], runs: Sequence[Path]) -> Curve:
    """A curve from the run folders of its seeds.

    Raises:
        StoreError: one is missing or damaged, or they were not scored at the same evaluations.
    """
    counts: list[list[int]] = []
    medians: list[list[float]] = []
    for path in runs:
        with CampaignFolder.open(path) as run:
            rows = run.generations()
        counts.append([row.evaluations for row in rows])
        medians.append([float(row.stats.get("median", np.nan)) for row in rows])
    if any(count != counts[0] for count in counts) or not counts[0]:
        raise StoreError(f"{runs[0].parent}: the runs of {net} and {encoding} differ in length")
    return Curve(
        net, encoding, tuple(seeds), np.array(counts[0], np.int64), np.array(medians, np.float64)
    )
