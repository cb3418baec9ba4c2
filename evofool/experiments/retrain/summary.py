"""The summary of a retraining loop: shares, medians, curves, ``retrain.csv`` and ``shown.csv``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from evofool.experiments.curves import Curve, curve_columns, curve_of, curve_points
from evofool.experiments.engine import Results, Work
from evofool.experiments.retrain.loop import Loop, NetKey
from evofool.experiments.retrain.shown import AscentRow, ShownRow
from evofool.experiments.works.answers import AnswerRow
from evofool.experiments.works.campaign import ChampionRow
from evofool.report.tables import Cell, Column, Count, Number, Table, Text

Curves: TypeAlias = Mapping[tuple[int, str, str], Curve]
"""By round, chain and encoding."""
REACHED = (0.5, 0.99)
"""Median confidences whose first evaluations are told."""
THRESHOLDS = (0.5, 0.99, 0.9999)
"""Confidences at which the share of cells is counted."""
SHOWN_AT = (0.5, 0.99)
"""Confidences at which champions are counted on other nets."""
NET_MEASURES = ("clean_error", "clean_fooling", "recall_old", "ascent")
RUN_MEASURES = ("recall_first", "recall_last", "cells_50", "cells_99", "cells_9999")


def read_curves(loop: Loop, results: Results) -> Curves:
    """The curves of all nets."""
    seeds = loop.config.evolution.seeds
    curves = {}
    for round in range(loop.config.rounds + 1):
        for chain in loop.chains(round):
            for encoding in loop.config.evolution.named:
                campaigns = [
                    loop.nets[NetKey(round, chain, seed)].campaigns[encoding] for seed in seeds
                ]
                name = f"round {round}, {chain}"
                curves[round, chain, encoding] = curve_of(results, name, encoding, seeds, campaigns)
    return curves


def curves_table(curves: Curves) -> Table:
    """``curves.csv``: a line a round, chain, encoding and generation."""
    columns = curve_columns(Count("round"), Text("trained_on"), Text("encoding"))
    return Table(
        columns, [(*key, *p) for key, curve in curves.items() for p in curve_points(curve)]
    )


@dataclass(frozen=True)
class ShownCount:
    """How many champions of a net reach a confidence on another net.

    Attributes:
        key: the net that they were evolved against.
        encoding: of the champions.
        other: the net that they were shown to.
        measure: ``target_50``: in the class aimed at; ``any_50``: in any real class.
        hits: how many.
        n: of how many.
    """

    key: NetKey
    encoding: str
    other: str
    measure: str
    hits: int
    n: int


def shown_counts(loop: Loop, results: Results) -> list[ShownCount]:
    """Champions on other nets, net by net."""
    counts = []
    for key, judged in loop.nets.items():
        for (encoding, other), work in judged.shown.items():
            rows = results.rows(work, ShownRow)
            for bar in SHOWN_AT:
                for measure, sure in (
                    ("target", [row.aimed for row in rows]),
                    ("any", [row.most for row in rows]),
                ):
                    hits = sum(c >= bar for c in sure)
                    counts.append(
                        ShownCount(key, encoding, other, _at(measure, bar), hits, len(rows))
                    )
    counts.sort(key=lambda c: (c.key, c.measure, c.encoding, c.other))
    return counts


def shown_table(counts: Sequence[ShownCount]) -> Table:
    """``shown.csv``."""
    columns = [
        Count("round"), Text("trained_on"), Count("seed"), Text("encoding"), Text("other"),
        Text("measure"), Count("hits"), Count("n"),
    ]  # fmt: skip
    rows = [
        (c.key.round, c.key.trained_on, c.key.seed, c.encoding, c.other, c.measure, c.hits, c.n)
        for c in counts
    ]
    return Table(columns, rows)


def net_rows(loop: Loop, results: Results, curves: Curves) -> list[dict[str, Any]]:
    """A row a net and seed: shares, and the medians that evolution ended with; None without one."""
    rows = []
    for key, judged in loop.nets.items():
        clean = results.rows(judged.clean, AnswerRow)
        training = 0.0 if key.round == 0 else results.cost(_work(judged.net)).seconds
        ascent = judged.ascent
        climbs = [] if ascent is None else results.rows(ascent, AscentRow)
        row: dict[str, Any] = {
            "round": key.round,
            "trained_on": key.trained_on,
            "seed": key.seed,
            "fooling_images": sum(map(len, getattr(judged.net, "bred", ()))),
            "training_seconds": round_to(training),
            "clean_error": _share(r.is_error for r in clean),
            "clean_fooling": _share(r.predicted == loop.classes for r in clean)
            if key.round
            else None,
            "recall_old": _recalled(results, judged.recall_old),
            "ascent": _share(r.success for r in climbs),
        }
        for encoding, campaign in judged.campaigns.items():
            curve = curves[key.round, key.trained_on, encoding]
            sure = [r.confidence for r in results.rows(campaign, ChampionRow)]
            sure += [0.0] * (loop.classes - len(sure))
            row[f"median_{encoding}"] = float(curve.confidence[curve.seeds.index(key.seed), -1])
            row[f"recall_first_{encoding}"] = _recalled(results, judged.recall_first.get(encoding))
            row[f"recall_last_{encoding}"] = _recalled(results, judged.recall_last.get(encoding))
            for bar in THRESHOLDS:
                row[f"{_at('cells', bar)}_{encoding}"] = _share(c >= bar for c in sure)
        rows.append(row)
    return rows


def nets_table(loop: Loop, rows: Sequence[Mapping[str, Any]]) -> Table:
    """``retrain.csv``, a line per net and seed."""
    columns: list[Column] = [
        Count("round"), Text("trained_on"), Count("seed"), Count("fooling_images"),
        Number("training_seconds"), *(Number(name) for name in NET_MEASURES),
    ]  # fmt: skip
    for encoding in loop.config.evolution.named:
        columns += [Number(f"{name}_{encoding}") for name in ("median", *RUN_MEASURES)]
    cells: list[list[Cell]] = [[row[column.title] for column in columns] for row in rows]
    return Table(columns, cells)


def summarise(
    loop: Loop,
    results: Results,
    manifest: Mapping[str, Any],
    curves: Curves,
    rows: Sequence[Mapping[str, Any]],
    shown: Sequence[ShownCount],
) -> dict[str, Any]:
    """The content of ``summary.json``: over the seeds of each net, median, least and most."""
    config, base = loop.config, loop.base_net(results)
    nets = []
    for round in range(config.rounds + 1):
        for chain in loop.chains(round):
            own = [r for r in rows if (r["round"], r["trained_on"]) == (round, chain)]
            nets.append(
                {
                    "round": round,
                    "trained_on": chain,
                    "fooling_images": own[0]["fooling_images"],
                    **{name: spread(r[name] for r in own) for name in NET_MEASURES},
                    "evolution": [
                        _ended(curves[round, chain, encoding], own, encoding)
                        for encoding in config.evolution.named
                    ],
                    "shown": _pooled(shown, round, chain),
                }
            )
    return {
        "status": "finished",
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "base": {"name": base.name, "digest": base.digest},
        "data": config.data.model_dump(mode="json"),
        "classes": loop.classes,
        "clean_images": len(results.rows(next(iter(loop.nets.values())).clean, AnswerRow)),
        "rounds": config.rounds,
        "trained_on": list(config.chains),
        "seeds": list(config.evolution.seeds),
        "nets": nets,
        "seconds": round_to(results.folder.seconds()),
    }


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Median, least and most; None where there is nothing."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": float(np.median(known)), "low": min(known), "high": max(known)}


def _ended(curve: Curve, rows: Sequence[Mapping[str, Any]], encoding: str) -> dict[str, Any]:
    low, high = curve.interval()
    return {
        "encoding": encoding,
        "evaluations": int(curve.evaluations[-1]),
        "median_confidence": float(curve.median[-1]),
        "low": float(low[-1]),
        "high": float(high[-1]),
        "reached": {f"{bar:g}": _first(curve, bar) for bar in REACHED},
        **{name: spread(r[f"{name}_{encoding}"] for r in rows) for name in RUN_MEASURES},
    }


def _first(curve: Curve, bar: float) -> int | None:
    """Evaluations after which the median first reaches `bar`."""
    above = np.flatnonzero(curve.median >= bar)
    return int(curve.evaluations[above[0]]) if len(above) else None


def round_to(seconds: float) -> float:
    """Milliseconds are enough."""
    return round(seconds, 3)


def _pooled(counts: Sequence[ShownCount], round: int, chain: str) -> list[dict[str, Any]]:
    """Champions on other nets, over all seeds together."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for c in counts:
        if (c.key.round, c.key.trained_on) == (round, chain):
            pair = sums.setdefault((c.encoding, c.other, c.measure), [0, 0])
            pair[0] += c.hits
            pair[1] += c.n
    return [
        {"encoding": encoding, "other": other, "measure": measure, "hits": hits, "n": n}
        for (encoding, other, measure), (hits, n) in sorted(sums.items())
    ]


def _recalled(results: Results, work: Work | None) -> float | None:
    if work is None:
        return None
    return _share(not row.is_error for row in results.rows(work, AnswerRow))


def _share(truths: Iterable[bool]) -> float | None:
    """Of how many it is true; None of nothing."""
    each = list(truths)
    return sum(each) / len(each) if each else None


def _at(name: str, bar: float) -> str:
    """``cells_99`` of .99."""
    return f"{name}_{f'{bar:g}'.partition('.')[2].ljust(2, '0')}"


def _work(net: object) -> Work:
    assert isinstance(net, Work)
    return net
