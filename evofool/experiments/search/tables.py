"""The tables of a comparison of ways to search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from evofool.report.columns import Cell
from evofool.report.tables import (
    Column,
    Confidence,
    Count,
    Estimate,
    Number,
    Rate,
    Table,
    Text,
)


def ends(summary: Mapping[str, Any]) -> Table:
    """Where each variant ended, and the evaluations to each median confidence."""
    medians = [f"{median:g}" for median in summary["medians"]]
    columns: list[Column] = [
        *_which(summary), Count("evaluations"), Confidence("median", bounds=("low", "high")),
        Count("classes won", "won"), *(Text(f"to {median}", at_right=True) for median in medians),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for names, v in _variants(summary):
        estimate = Estimate(v["median_confidence"], *_bounds(v))
        reached = [_needed(v["needed"][median]) for median in medians]
        rows.append([*names, v["evaluations"], estimate, round(v["won"]), *reached])
    caption = "Where each variant ended, and the evaluations until its median reached a confidence"
    return Table(columns, rows, caption)


def fewer(summary: Mapping[str, Any]) -> Table:
    """How many times the evaluations of each variant the baseline took to each median.

    It has no rows where the baseline is alone.
    """
    medians = [f"{median:g}" for median in summary["medians"]]
    columns = [*_which(summary), *(Text(f"to {median}", at_right=True) for median in medians)]
    rows: list[list[Cell]] = [
        [*names, *(_ratio(v["needed"][median]) for median in medians)]
        for names, v in _variants(summary)
        if v["variant"] != summary["baseline"]
    ]
    caption = f"How many times as many evaluations {summary['baseline']} needs for the same median"
    return Table(columns, rows, caption)


def shown(summary: Mapping[str, Any]) -> Table:
    """What other nets make of the surest pictures; without rows where none was asked."""
    rows: list[list[Cell]] = []
    most = 0
    for names, v in _variants(summary):
        for other, told in v["shown_to"].items():
            share = Estimate(told["its_class"], *_bounds(told))
            rows.append([*names, other, told["pictures"], share, told["median_confidence"]])
            most = max(most, told["pictures"])
    columns = [
        *_which(summary), Text("shown to"), Count("pictures"),
        Rate("called by their class", bounds=("low", "high"), of=most),
        Confidence("median confidence"),
    ]  # fmt: skip
    return Table(columns, rows)


def distances(summary: Mapping[str, Any]) -> Table:
    """How far the surest pictures are from natural ones; without rows where there were none."""
    columns = [
        *_which(summary), Number("levels of 255", form=".1f"),
        Number("in the net's features", form=".3g"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [*names, v["nearest"]["rms"], v["nearest"]["features"]]
        for names, v in _variants(summary)
        if v["nearest"]
    ]
    return Table(columns, rows)


def numbers(summary: Mapping[str, Any]) -> Table:
    """``search.csv``: the same in numbers, a line per net, variant and median."""
    columns = [
        Text("net"), Text("variant"), Count("evaluations"), Number("median_confidence"),
        Number("low"), Number("high"), Number("lower_quartile"), Number("upper_quartile"),
        Number("area"), Number("won"), Number("share_0.5"), Number("share_0.9"),
        Number("share_0.99"), Number("to_median"), Count("needed"), Number("ratio"),
        Number("ratio_low"), Number("ratio_high"), Text("at_least"),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for net in summary["nets"]:
        for v in net["variants"]:
            head = [
                net["net"], v["variant"], v["evaluations"], v["median_confidence"], v["low"],
                v["high"], v["lower_quartile"], v["upper_quartile"], v["area"], v["won"],
                *v["share_at"].values(),
            ]  # fmt: skip
            for median, n in v["needed"].items():
                bound = "yes" if n["at_least"] else "no"
                tail = [float(median), n["median"], n["ratio"], n["low"], n["high"], bound]
                rows.append([*head, *tail])
    return Table(columns, rows)


def _bounds(told: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of an interval; NaN where there is none."""
    low, high = told["low"], told["high"]
    return np.nan if low is None else low, np.nan if high is None else high


def _needed(needed: Mapping[str, Any]) -> str:
    return "never" if needed["median"] is None else f"{needed['median']:,}"


def _ratio(needed: Mapping[str, Any]) -> str:
    if needed["ratio"] is None:
        return "-"
    if needed["at_least"]:
        return f"> {needed['ratio']:.1f}"  # how much more, the interval cannot know
    interval = "" if needed["low"] is None else f" ({needed['low']:.1f}-{needed['high']:.1f})"
    return f"{needed['ratio']:.1f}{interval}"


def _which(summary: Mapping[str, Any]) -> list[Column]:
    """The columns that say which variant a row is about."""
    return [*([Text("net")] if len(summary["nets"]) > 1 else []), Text("variant")]


def _variants(summary: Mapping[str, Any]) -> Iterator[tuple[list[Cell], Mapping[str, Any]]]:
    several = len(summary["nets"]) > 1
    for net in summary["nets"]:
        for v in net["variants"]:
            yield [*([net["net"]] if several else []), v["variant"]], v
