"""What a retraining loop leaves for programs: tables, curves and ``summary.json``; all derived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from evofool.classifiers import Classifier
from evofool.experiments.curves import Curve, curve_points, read_curve
from evofool.experiments.retrain_chain import BASE, NetKey, RunKey, net_keys
from evofool.experiments.retrain_config import RetrainConfig
from evofool.experiments.retrain_measures import OTHERS
from evofool.store import MeasureRow, RetrainFolder
from evofool.text import csv_bytes

Curves: TypeAlias = Mapping[tuple[int, str, str], Curve]
"""By round, chain and encoding."""
REACHED = (0.5, 0.99)
"""Median confidences whose first evaluations are told."""
NET_MEASURES = ("clean_error", "clean_fooling", "recall_old", "ascent")
RUN_MEASURES = ("recall_first", "recall_last", "cells_50", "cells_99", "cells_9999")

_CURVE = ("seeds", "evaluations", "median_confidence", "low", "high")
"""Columns of a point of a curve."""


def chains(config: RetrainConfig, round: int) -> tuple[str, ...]:
    """The chains that have a net of their own in a round."""
    return config.trained_on if round else (BASE,)


def read_curves(run: RetrainFolder, config: RetrainConfig) -> Curves:
    """The curves of all nets that there are.

    Raises:
        StoreError: a run of evolution is missing or damaged.
    """
    curves = {}
    seeds = config.evolution.seeds
    for round in range(config.rounds + 1):
        for chain in chains(config, round):
            for encoding in config.evolution.encodings:
                folders = [
                    run.path / RunKey(NetKey(round, chain, seed), encoding).folder for seed in seeds
                ]
                name = f"round {round}, {chain}"
                curves[round, chain, encoding] = read_curve(name, encoding, seeds, folders)
    return curves


def write_curves(run: RetrainFolder, curves: Curves) -> None:
    """``curves.csv``: a line a round, chain, encoding and generation."""
    lines = [(*key, *line) for key, curve in curves.items() for line in curve_points(curve)]
    run.write_file("curves.csv", csv_bytes(("round", "trained_on", "encoding", *_CURVE), lines))


def columns(config: RetrainConfig) -> tuple[str, ...]:
    """Of ``retrain.csv``."""
    encodings = config.evolution.encodings
    return (
        "round",
        "trained_on",
        "seed",
        "fooling_images",
        "training_seconds",
        *NET_MEASURES,
        *(f"{name}_{e}" for e in encodings for name in ("median", *RUN_MEASURES)),
    )


def table(run: RetrainFolder, config: RetrainConfig, curves: Curves) -> list[dict[str, Any]]:
    """A row a net and seed: shares, and the medians that evolution ended with; None without one."""
    shares = {
        (m.round, m.trained_on, m.seed, m.measure, m.encoding): m.share
        for m in run.measures()
        if m.part != OTHERS
    }
    nets = {(n.round, n.trained_on, n.seed): n for n in run.nets()}
    found = []
    for round in range(config.rounds + 1):
        for key in net_keys(config, round):
            where = (key.round, key.trained_on, key.seed)
            net = nets[where]
            row: dict[str, Any] = {
                "round": round,
                "trained_on": key.trained_on,
                "seed": key.seed,
                "fooling_images": net.images,
                "training_seconds": round_to(net.seconds),
            }
            row |= {name: shares.get((*where, name, "")) for name in NET_MEASURES}
            for encoding in config.evolution.encodings:
                curve = curves[round, key.trained_on, encoding]
                position = curve.seeds.index(key.seed)
                row[f"median_{encoding}"] = float(curve.confidence[position, -1])
                for name in RUN_MEASURES:
                    row[f"{name}_{encoding}"] = shares.get((*where, name, encoding))
            found.append(row)
    return found


def write_table(run: RetrainFolder, config: RetrainConfig, curves: Curves) -> None:
    """``retrain.csv``, a line a net and seed, and ``shown.csv``: champions on other nets."""
    names = columns(config)
    rows = table(run, config, curves)
    run.write_file("retrain.csv", csv_bytes(names, ([row[n] for n in names] for row in rows)))
    run.write_file(
        "shown.csv",
        csv_bytes(
            ("round", "trained_on", "seed", "encoding", "other", "measure", "hits", "n"),
            (
                (m.round, m.trained_on, m.seed, m.encoding, m.other, m.measure, m.hits, m.n)
                for m in run.measures()
                if m.part == OTHERS
            ),
        ),
    )


def summary(
    run: RetrainFolder, config: RetrainConfig, base: Classifier, curves: Curves
) -> dict[str, Any]:
    """The content of ``summary.json``: over the seeds of each net, median, least and most."""
    rows = table(run, config, curves)
    nets = []
    for round in range(config.rounds + 1):
        for chain in chains(config, round):
            own = [r for r in rows if (r["round"], r["trained_on"]) == (round, chain)]
            nets.append(
                {
                    "round": round,
                    "trained_on": chain,
                    "fooling_images": own[0]["fooling_images"],
                    **{name: spread(r[name] for r in own) for name in NET_MEASURES},
                    "evolution": [
                        _ended(curves[round, chain, encoding], own, encoding)
                        for encoding in config.evolution.encodings
                    ],
                    "shown": _shown(run.measures(), round, chain),
                }
            )
    return {
        "status": "finished",
        "run_id": run.manifest["run_id"],
        "seed": run.manifest["seed"],
        "base": {"name": base.name, "digest": base.digest},
        "data": config.data.model_dump(mode="json"),
        "rounds": config.rounds,
        "trained_on": list(config.trained_on),
        "seeds": list(config.evolution.seeds),
        "nets": nets,
        "seconds": round_to(run.seconds()),
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


def _shown(measures: Iterable[MeasureRow], round: int, chain: str) -> list[dict[str, Any]]:
    """Champions on other nets, over all seeds together."""
    counts: dict[tuple[str, str, str], list[int]] = {}
    for m in measures:
        if (m.round, m.trained_on, m.part) == (round, chain, OTHERS):
            count = counts.setdefault((m.encoding, m.other, m.measure), [0, 0])
            count[0] += m.hits
            count[1] += m.n
    return [
        {"encoding": encoding, "other": other, "measure": measure, "hits": hits, "n": n}
        for (encoding, other, measure), (hits, n) in sorted(counts.items())
    ]


def round_to(seconds: float) -> float:
    """Milliseconds are enough."""
    return round(seconds, 3)
