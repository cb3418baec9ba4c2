"""The summary of a comparison of cost functions: rates, medians, intervals, ``costs.csv``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evofool.attacks.runs.statistics import share
from evofool.experiments.costs.nets import MEASURES, Compared, JudgedNet
from evofool.experiments.curves import Curve, curve_json, curve_of
from evofool.experiments.engine import Results
from evofool.experiments.works.answers import AnswerRow
from evofool.experiments.works.campaign import ChampionRow
from evofool.experiments.works.noise import ClaimRow, NoiseAnswers
from evofool.report.columns import Cell
from evofool.report.tables import Count, Number, Table, Text

BARS = (0.5, 0.99)
"""Confidences that champions are counted from."""


def read_curves(compared: Compared, results: Results) -> list[Curve]:
    """A curve for every loss and encoding, over the seeds."""
    config = compared.config
    return [
        curve_of(
            results,
            net.loss,
            encoding,
            config.seeds,
            [each.campaigns[encoding] for each in compared.nets if each.loss == net.loss],
        )
        for net in config.nets
        for encoding in config.evolution.named
    ]


def summarise(
    compared: Compared, results: Results, manifest: Mapping[str, Any], curves: Sequence[Curve]
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    config = compared.config
    losses = {
        net.loss: [each for each in compared.nets if each.loss == net.loss] for net in config.nets
    }
    return {
        "status": "finished",
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "seeds": list(config.seeds),
        "training": config.training.model_dump(mode="json"),
        "eps": config.eps,
        "rubbish": config.rubbish.model_dump(mode="json"),
        "nets": [
            {
                "loss": loss,
                "measures": {name: _measured(compared, results, nets, name) for name in MEASURES},
                "evolution": [
                    _evolved(results, curve, nets) for curve in curves if curve.net == loss
                ],
            }
            for loss, nets in losses.items()
        ],
        "seconds": round(results.folder.seconds(), 3),
    }


def table(summary: Mapping[str, Any]) -> Table:
    """``costs.csv``: a line a loss and measure, rates pooled over the seeds.

    Medians of evolution have neither n nor hits.
    """
    columns = [
        Text("loss"), Text("measure"), Count("n"), Count("hits"), Number("rate"), Number("low"),
        Number("high"), Number("least_of_seeds"), Number("most_of_seeds"),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for net in summary["nets"]:
        measures = dict(net["measures"])
        for evolved in net["evolution"]:
            about = f"evolution, {evolved['encoding']}"
            for bar, counted in evolved["share_at"].items():
                measures[f"{about}, share of cells >= {bar}"] = counted
            rows.append(
                [net["loss"], f"{about}, median confidence", None, None,
                 evolved["median_confidence"], evolved["low"], evolved["high"], evolved["least"],
                 evolved["most"]]
            )  # fmt: skip
        rows += [
            [net["loss"], name, m["n"], m["hits"], m["rate"], m["low"], m["high"], m["least"],
             m["most"]]
            for name, m in measures.items()
        ]  # fmt: skip
    return Table(columns, rows)


def _measured(
    compared: Compared, results: Results, nets: Sequence[JudgedNet], name: str
) -> dict[str, Any]:
    """One measure of the nets of one loss: a share, and a note on each net."""
    counts, details = [], []
    for net in nets:
        work = net.measures[name]
        if isinstance(work, NoiseAnswers):
            sure = np.array([row.confidence for row in results.rows(work, ClaimRow)])
            bad = sure > compared.config.rubbish.threshold
            details.append(f"median largest confidence {np.median(sure):.4f}")
        else:
            bad = np.array([row.is_error for row in results.rows(work, AnswerRow)])
            attack = getattr(work, "attack", None)
            details.append("" if attack is None else f"eps {attack.eps:g}")
        counts.append((int(bad.sum()), len(bad)))
    return {**_share(counts), "details": details}


def _share(counts: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Hits in n of each seed as one share, with Wilson's interval and the range of the seeds."""
    each = list(counts)
    hits, n = sum(h for h, _ in each), sum(k for _, k in each)
    pooled = share(hits, n)
    rates = [h / k for h, k in each]
    return {
        "n": n,
        "hits": hits,
        "rate": pooled["rate"],
        "low": pooled["low"],
        "high": pooled["high"],
        "seeds": rates,
        "least": min(rates),
        "most": max(rates),
    }


def _evolved(results: Results, curve: Curve, nets: Sequence[JudgedNet]) -> dict[str, Any]:
    by_net = [
        [row.confidence for row in results.rows(net.campaigns[curve.encoding], ChampionRow)]
        for net in nets
    ]
    last = curve.confidence[:, -1]
    return {
        **curve_json(curve),
        "least": float(last.min()),
        "most": float(last.max()),
        "share_at": {
            f"{bar:g}": _share((sum(c >= bar for c in sure), len(sure)) for sure in by_net)
            for bar in BARS
        },
    }
