"""What the runs of a sweep came to: means over seeds, with intervals, as JSON values and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evofool.experiments.engine import Results
from evofool.experiments.sweep.config import SweepConfig, short_keys, shown
from evofool.experiments.sweep.figures import HEADLINES, QUERIES
from evofool.experiments.sweep.works import SweptRow, SweptRun
from evofool.randomness import Stream, generator
from evofool.report.tables import (
    Cell,
    Column,
    Confidence,
    Count,
    Estimate,
    Number,
    Rate,
    Seconds,
    Table,
    Text,
)

DRAWS = 2000
"""Bootstrap samples."""


@dataclass(frozen=True)
class Outcome:
    """A run that has ended.

    Attributes:
        number: of the combination.
        point: the values of the grid's keys.
        seed: of it.
        row: what it came to.
        place: of its folder, relative to the sweep's.
    """

    number: int
    point: tuple[Any, ...]
    seed: int
    row: SweptRow
    place: str


def read(
    config: SweepConfig,
    swept: Mapping[tuple[int, int], SweptRun],
    results: Results,
) -> list[Outcome]:
    """The runs that have ended, combination after combination.

    Raises:
        StoreError: a row is damaged.
    """
    found = []
    for number, point in enumerate(config.points):
        for seed in config.seeds:
            work = swept[number, seed]
            if not results.is_finished(work):
                continue
            place = results.artifact(work, work.makes[0]).path
            found.append(Outcome(number, point, seed, results.only(work, SweptRow), place))
    return found


def mean_of(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean of one number a seed, and the 95 % percentile bootstrap interval of it (Efron 1979).

    Of one seed there is no interval; of few it can be no wider than from the smallest to the
    largest.
    """
    array = np.array(values, np.float64)
    if len(array) < 2:
        return float(array.mean()), None, None
    rng = generator(0, Stream.BOOTSTRAP, len(array), 0)
    drawn = array[rng.integers(len(array), size=(DRAWS, len(array)))].mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(array.mean()), float(low), float(high)


def summarise(
    config: SweepConfig,
    kind: str,
    outcomes: Sequence[Outcome],
    manifest: Mapping[str, Any],
    results: Results,
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    headline = HEADLINES[kind]
    names = list(dict.fromkeys(name for one in outcomes for name in one.row.figures))
    points = []
    for number, point in enumerate(config.points):
        own = [one for one in outcomes if one.number == number]
        told: dict[str, Any] = {}
        for name in names:
            values = [v for one in own if (v := one.row.figures.get(name)) is not None]
            if values:
                mean, low, high = mean_of(values)
                told[name] = {"mean": mean, "low": low, "high": high, "of_seeds": values}
        points.append(
            {
                "values": list(point),
                "seeds": [one.seed for one in own],
                "figures": told,
                "queries": sum(one.row.queries for one in own),
                "seconds": round(sum(one.row.seconds for one in own), 3),
            }
        )
    return {
        "kind": "sweep",
        "status": "finished",
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "of": kind,
        "headline": headline.name,
        "keys": list(config.grid),
        "seeds": list(config.seeds),
        "runs": config.count,
        "ended": len(outcomes),
        "figures": names,
        "grid": points,
        "queries": sum(one.row.queries for one in outcomes),
        "seconds": round(results.folder.seconds(), 3),
    }


def grid_table(summary: Mapping[str, Any]) -> Table:
    """``grid.csv``: a line a combination, each figure as its mean over the seeds."""
    columns: list[Column] = [Text(key) for key in short_keys(summary["keys"])] or [Text("run")]
    headline = summary["headline"]
    others = [name for name in summary["figures"] if name != headline]
    columns += [Count("seeds"), figure_column(headline, ends=True)]
    columns += [figure_column(name) for name in others]
    columns += [Count("queries"), Seconds("seconds")]
    rows: list[list[Cell]] = []
    for point in summary["grid"]:
        told = point["figures"]
        main = told.get(headline, {})
        cells: list[Cell] = [shown(value) for value in point["values"]] or ["all"]
        cells += [len(point["seeds"]), _estimate(main) if main else None]
        cells += [told.get(name, {}).get("mean") for name in others]
        cells += [point["queries"], point["seconds"]]
        rows.append(cells)
    return Table(columns, rows)


def runs_table(config: SweepConfig, outcomes: Sequence[Outcome]) -> Table:
    """``sweep.csv``: a line a run, with where its folder lies."""
    names = list(dict.fromkeys(name for one in outcomes for name in one.row.figures))
    columns: list[Column] = [
        *(Text(key) for key in short_keys(list(config.grid))), Count("seed"),
        *(figure_column(name) for name in names),
        Count("queries"), Seconds("seconds"), Text("folder"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            *(shown(value) for value in one.point), one.seed,
            *(one.row.figures.get(name) for name in names),
            one.row.queries, one.row.seconds, one.place,
        ]
        for one in outcomes
    ]  # fmt: skip
    return Table(columns, rows)


def figure_column(name: str, *, ends: bool = False) -> Column:
    """The column of a figure; with `ends` its cells have intervals."""
    programs = name.replace(" ", "_").replace(".", "")
    bounds = ("low", "high") if ends else None
    if "confidence" in name:
        return Confidence(name, programs, bounds)
    if name == QUERIES:
        return Number(name, programs)
    return Rate(name, programs, bounds)


def _estimate(told: Mapping[str, Any]) -> Estimate:
    ends = (math.nan if told[key] is None else float(told[key]) for key in ("low", "high"))
    return Estimate(float(told["mean"]), *ends)
