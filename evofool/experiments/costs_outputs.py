"""What a comparison of cost functions leaves for programs: a table, curves and ``summary.json``.

All of it is derived: it can be made again from ``run.sqlite`` and the runs below the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.attacks.statistics import share
from evofool.errors import FolderError
from evofool.evolution.outputs import png_name, read_table
from evofool.experiments.costs_config import CostsConfig
from evofool.experiments.curves import Curve, read_curve
from evofool.experiments.defend_outputs import curve_json
from evofool.store import CostsFolder, RunFolder, ThreatRow
from evofool.text import csv_bytes

CLEAN, FLOATS, PICTURES = "no attack", "noise N(0, I)", "noise N(0, I) as pictures"
FGSM_ROW = "FGSM"
MEASURES = (CLEAN, FLOATS, PICTURES, FGSM_ROW)
"""Rows of every net, in the order in which they are measured."""
BARS = (0.5, 0.99)
"""Confidences that champions are counted from."""
COLUMNS = (
    "loss", "measure", "n", "hits", "rate", "low", "high", "least_of_seeds", "most_of_seeds",
)  # fmt: skip


@dataclass(frozen=True)
class Champion:
    """The best picture of a class that evolution found against one net.

    Attributes:
        net: ``LOSS-SEED``.
        encoding: by name.
        class_index: that it is taken for.
        confidence: of the net in that.
        picture: the PNG.
    """

    net: str
    encoding: str
    class_index: int
    confidence: float
    picture: Path


def net_name(loss: str, seed: int) -> str:
    """What a net is called in rows and folders."""
    return f"{loss}-{seed}"


def evolution_folder(net: str, encoding: str) -> str:
    """Where a run of evolution lies in the run folder."""
    return f"evolution/{net}-{encoding}"


def read_champions(run: CostsFolder, config: CostsConfig) -> list[Champion]:
    """The champions of every net and encoding, in the order of the config.

    Raises:
        StoreError: a run of evolution is missing or damaged.
    """
    found = []
    for loss in (net.loss for net in config.nets):
        for seed in config.seeds:
            for encoding in config.evolution.encodings:
                net = net_name(loss, seed)
                path = run.path / evolution_folder(net, encoding)
                with RunFolder.open(path) as campaign:
                    table = read_table(campaign)
                found += [
                    Champion(net, encoding, c, row["confidence"], path / png_name(c))
                    for c, row in sorted(table.items())
                ]
    return found


def read_curves(run: CostsFolder, config: CostsConfig) -> list[Curve]:
    """A curve for every loss and encoding, over the seeds.

    Raises:
        StoreError: a run of evolution is missing or damaged.
    """
    return [
        read_curve(
            net.loss,
            encoding,
            config.seeds,
            [
                run.path / evolution_folder(net_name(net.loss, seed), encoding)
                for seed in config.seeds
            ],
        )
        for net in config.nets
        for encoding in config.evolution.encodings
    ]


def read_measures(run: CostsFolder, config: CostsConfig, loss: str) -> dict[str, list[ThreatRow]]:
    """The rows of one loss by measure, one a seed.

    Raises:
        FolderError: a net has other rows than those that are measured.
    """
    found: dict[str, list[ThreatRow]] = {measure: [] for measure in MEASURES}
    for seed in config.seeds:
        rows = run.threats(net_name(loss, seed))
        if tuple(row.threat for row in rows) != MEASURES:
            raise FolderError(f"{run.path}: damaged: the rows of {net_name(loss, seed)}")
        for row in rows:
            found[row.threat].append(row)
    return found


def summary(
    run: CostsFolder,
    config: CostsConfig,
    curves: Sequence[Curve],
    champions: Sequence[Champion],
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    return {
        "status": "finished",
        "run_id": run.manifest["run_id"],
        "seed": run.manifest["seed"],
        "seeds": list(config.seeds),
        "training": config.training.model_dump(mode="json"),
        "eps": config.eps,
        "rubbish": config.rubbish.model_dump(mode="json"),
        "nets": [
            {
                "loss": net.loss,
                "measures": {
                    measure: _pooled(rows)
                    for measure, rows in read_measures(run, config, net.loss).items()
                },
                "evolution": [
                    _evolved(curve, champions) for curve in curves if curve.net == net.loss
                ],
            }
            for net in config.nets
        ],
        "seconds": round(run.seconds(), 3),
    }


def write_table(run: CostsFolder, found: Mapping[str, Any]) -> None:
    """``costs.csv``: a line a loss and measure; rates are pooled over the seeds."""
    run.write_file("costs.csv", csv_bytes(COLUMNS, table_lines(found)))


def table_lines(found: Mapping[str, Any]) -> list[list[Any]]:
    """The lines of ``costs.csv``; medians of evolution have neither n nor hits."""
    lines: list[list[Any]] = []
    for net in found["nets"]:
        measures = dict(net["measures"])
        for evolved in net["evolution"]:
            about = f"evolution, {evolved['encoding']}"
            for bar, counted in evolved["share_at"].items():
                measures[f"{about}, share of cells >= {bar}"] = counted
            lines.append(
                [net["loss"], f"{about}, median confidence", "", "", evolved["median_confidence"],
                 evolved["low"], evolved["high"], evolved["least"], evolved["most"]]
            )  # fmt: skip
        lines += [
            [net["loss"], name, m["n"], m["hits"], m["rate"], m["low"], m["high"], m["least"],
             m["most"]]
            for name, m in measures.items()
        ]  # fmt: skip
    return lines


def _pooled(rows: Sequence[ThreatRow]) -> dict[str, Any]:
    return {
        **_share([(row.errors, row.n) for row in rows]),
        "details": [row.detail for row in rows],
    }


def _share(counts: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Hits in n of each seed as one share, with Wilson's interval and the range of the seeds."""
    each = list(counts)
    hits, n = sum(h for h, _ in each), sum(k for _, k in each)
    found = share(hits, n)
    rates = [h / k for h, k in each]
    return {
        "n": n,
        "hits": hits,
        "rate": found["rate"],
        "low": found["low"],
        "high": found["high"],
        "seeds": rates,
        "least": min(rates),
        "most": max(rates),
    }


def _evolved(curve: Curve, champions: Sequence[Champion]) -> dict[str, Any]:
    nets = [net_name(curve.net, seed) for seed in curve.seeds]
    own = [c for c in champions if c.encoding == curve.encoding and c.net in nets]
    by_net = [[c.confidence for c in own if c.net == net] for net in nets]
    last = curve.confidence[:, -1]
    return {
        **curve_json(curve),
        "least": float(last.min()),
        "most": float(last.max()),
        "share_at": {
            f"{bar:g}": _share((sum(c >= bar for c in found), len(found)) for found in by_net)
            for bar in BARS
        },
    }
