"""Which classes each variant wins: where its champions are surer than those of all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evofool.experiments.search.summary import Outcome
from evofool.report.columns import Cell
from evofool.report.tables import Count, Number, Table, Text
from evofool.text import probability

NAMED = 6
"""Classes that a page names for each variant."""


def classes(outcomes: Sequence[Outcome]) -> Table:
    """``classes.csv``: the confidence of every variant in every class, medians over the seeds."""
    columns = [
        Text("net"), Count("class"), Text("label"), Text("variant"), Number("confidence"),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for one in outcomes:
        labels = one.searched.classifier.labels
        for item, confidence in zip(*_medians(one), strict=True):
            name = one.searched.variant.name
            rows.append([one.searched.net, item, labels[item], name, float(confidence)])
    return Table(columns, rows)


def leads(outcomes: Sequence[Outcome]) -> Table:
    """Of one net: in how many classes each variant is surest, and where by most.

    Args:
        outcomes: at least two, all of one net.
    """
    items, _ = _medians(outcomes[0])
    sure = np.stack([_of(one, items) for one in outcomes])
    kept = np.clip(sure, 1e-12, 1 - 1e-12)
    odds = np.log(kept) - np.log1p(-kept)
    rows: list[list[Cell]] = []
    for k, one in enumerate(outcomes):
        others = np.delete(odds, k, axis=0).max(axis=0)
        lead = odds[k] - others
        labels = one.searched.classifier.labels
        named = []
        for at in np.argsort(-lead, kind="stable")[:NAMED]:
            if lead[at] > 0:
                best = float(np.delete(sure[:, at], k).max())
                own = probability(float(sure[k, at]))
                named.append(f"{labels[items[at]]} {own} ({probability(best)})")
        rows.append([one.searched.variant.name, int((lead > 0).sum()), "; ".join(named)])
    return Table([Text("variant"), Count("surest in"), Text("most ahead in (best other)")], rows)


def _medians(one: Outcome) -> tuple[list[int], NDArray[np.float64]]:
    """Classes in which every seed has a champion, and the median confidence over the seeds."""
    items = sorted(set.intersection(*(set(sure) for sure in one.sure)))
    return items, _of(one, items)


def _of(one: Outcome, items: Sequence[int]) -> NDArray[np.float64]:
    each = np.array([[sure.get(item, 0.0) for item in items] for sure in one.sure])
    medians: NDArray[np.float64] = np.median(each, axis=0)
    return medians
