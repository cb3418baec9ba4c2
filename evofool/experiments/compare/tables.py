"""Tables of a comparison, for the page, for programs and for papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evofool.experiments.compare.measures import MethodResults, estimate, interval
from evofool.experiments.compare.paired import BAR, Paired
from evofool.experiments.compare.works import BARS
from evofool.report.columns import Cell
from evofool.report.tables import (
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
from evofool.scoring.ranking import sigmoid

ByNet = Mapping[str, Sequence[MethodResults]]
"""What was found on each net."""


def methods_table(outcomes: ByNet, seed: int) -> Table:
    """``compare.csv``: a line per net and method.

    Medians are over the classes of a seed, then over the seeds; shares are of classes, averaged
    over the seeds. Intervals are bootstrapped over seeds; of one seed there is none, and they are
    left out.
    """
    many = any(len(one.seeds) > 1 for each in outcomes.values() for one in each)
    bounds = ("median_low", "median_high") if many else None
    columns: list[Column] = [
        Text("net"), Text("method"), Text("sees"), Text("kind", "family"),
        Confidence("median confidence", "median_confidence", bounds=bounds),
    ]  # fmt: skip
    most = max((int(one.sought.sum()) for each in outcomes.values() for one in each), default=0)
    for bar in BARS:
        ends = (f"share_{bar:g}_low", f"share_{bar:g}_high") if many else None
        columns.append(Rate(f"classes at {bar:g}", f"share_{bar:g}", bounds=ends, of=most))
    columns += [
        Count(f"half the classes at {BARS[-1]:g} after", "half_at"),
        Number("cost a success", "cost_a_success", form=",.0f"),
        Number("cost a class", "cost_a_class", form=",.0f"),
        Number("spent", "spent", form=",.0f"), Seconds("time", "seconds"),
        Count("classes"), Count("seeds"),
    ]  # fmt: skip
    rows = [
        [net, *_method_cells(one, seed, many)] for net, each in outcomes.items() for one in each
    ]
    return Table(columns, rows, grouped_by="net")


def _method_cells(one: MethodResults, seed: int, many: bool) -> list[Cell]:
    def shown(value: Estimate) -> Cell:
        if not many:
            return value.value
        return value if len(one.seeds) > 1 else Estimate(value.value, np.nan, np.nan)

    half = float(np.median(one.half_way(len(BARS) - 1)))
    spent = float(np.mean(one.spent))
    successes = float((one.confidence >= BARS[-1]).sum(axis=1).mean())
    classes = int(one.sought.sum())
    return [
        one.arm.title, one.arm.sees, one.arm.family,
        shown(estimate(np.median(one.confidence, axis=1), seed)),
        *(shown(estimate((one.confidence >= bar).mean(axis=1), seed, np.mean)) for bar in BARS),
        int(half) if np.isfinite(half) else None,
        spent / successes if successes else None, spent / classes, spent,
        float(np.mean(one.seconds)), classes, len(one.seeds),
    ]  # fmt: skip


def curves_table(outcomes: ByNet, seed: int) -> Table:
    """``curves.csv``: median confidence and shares of classes at each cost."""
    columns: list[Column] = [
        Text("net"), Text("method"), Count("seeds"), Count("cost"), Number("median_confidence"),
        Number("low"), Number("high"),
    ]  # fmt: skip
    columns += [Number(f"share_{bar:g}") for bar in BARS]
    rows: list[list[Cell]] = []
    for net, each in outcomes.items():
        for one in each:
            middle, low, high = interval(one.medians, seed)
            shares = [one.shares(bar).mean(axis=0) for bar in range(len(BARS))]
            for k, cost in enumerate(one.costs.tolist()):
                values = [None if np.isnan(v[k]) else float(v[k]) for v in (middle, low, high)]
                rows.append(
                    [net, one.arm.title, len(one.seeds), cost, *values,
                     *(float(share[k]) for share in shares)]
                )  # fmt: skip
    return Table(columns, rows)


def searches_table(outcomes: ByNet, labels: Mapping[str, Sequence[str]]) -> Table:
    """``searches.csv``: a line per net, method, seed and class: all that the rest is made from."""
    columns: list[Column] = [
        Text("net"), Text("method"), Count("seed"), Count("class_index"), Text("label"),
        Number("log_odds"), Number("confidence"), Count("predicted"),
    ]  # fmt: skip
    columns += [Count(f"cost_at_{bar:g}") for bar in BARS]
    rows: list[list[Cell]] = []
    for net, each in outcomes.items():
        for one in each:
            for s, seed in enumerate(one.seeds):
                for c, label in enumerate(labels[net]):
                    if not one.sought[c]:
                        continue
                    odds = float(one.final[s, c])
                    none = np.isnan(odds)
                    costs = [int(v) or None for v in one.reached[s, c]]
                    rows.append(
                        [net, one.arm.title, seed, c, label, None if none else odds,
                         None if none else float(sigmoid(np.array(odds))),
                         int(one.predicted[s, c]), *costs]
                    )  # fmt: skip
    return Table(columns, rows)


def pairs_table(pairs: Mapping[str, Sequence[Paired]]) -> Table:
    """``tests.csv``: every method of a net against every other."""
    columns: list[Column] = [
        Text("net"), Text("method", "first"), Text("against", "second"), Count("classes"),
        Number("effect", form="+.2f"), Number("Wilcoxon p", "wilcoxon_p", form=".2g"),
        Count(f"only the first at {BAR:g}", "only_first"),
        Count(f"only the second at {BAR:g}", "only_second"),
        Number("McNemar p", "mcnemar_p", form=".2g"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [net, p.first, p.second, p.classes, p.effect, p.wilcoxon, p.only_first, p.only_second,
         p.mcnemar]
        for net, each in pairs.items()
        for p in each
    ]  # fmt: skip
    return Table(columns, rows, grouped_by="net")


def traces_table(outcomes: ByNet) -> Table:
    """``traces.csv``: the best confidence of every search after each power of two of its cost."""
    columns: list[Column] = [
        Text("net"), Text("method"), Count("seed"), Count("class_index"), Count("cost"),
        Number("log_odds"),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for net, each in outcomes.items():
        for one in each:
            for s, seed in enumerate(one.seeds):
                for c, curve in enumerate(one.log_odds[s]):
                    rows += [
                        [net, one.arm.title, seed, c, int(cost), float(odds)]
                        for cost, odds in zip(one.costs, curve, strict=True)
                        if not np.isnan(odds)
                    ]
    return Table(columns, rows)


def costs_table(outcomes: ByNet) -> Table:
    """``costs.csv``: what every net, method and seed sent, and how long it took."""
    columns: list[Column] = [
        Text("net"), Text("method"), Count("seed"), Count("spent"), Number("seconds"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [net, one.arm.title, seed, spent, seconds]
        for net, each in outcomes.items()
        for one in each
        for seed, spent, seconds in zip(one.seeds, one.spent, one.seconds, strict=True)
    ]
    return Table(columns, rows)
