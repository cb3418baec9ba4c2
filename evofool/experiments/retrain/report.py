"""``report/`` of a retraining loop: one static page, with its pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evofool.experiments.engine import Results
from evofool.experiments.pages import PAGES
from evofool.experiments.retrain.config import RetrainConfig
from evofool.experiments.retrain.loop import BASE, Loop
from evofool.experiments.retrain.plots import rounds_plot, strip
from evofool.experiments.retrain.summary import (
    curves_table,
    net_rows,
    nets_table,
    read_curves,
    shown_counts,
    shown_table,
    summarise,
)
from evofool.experiments.works.campaign import ChampionRow
from evofool.images import decode_png, encode_png
from evofool.report.figures import light_and_dark
from evofool.report.output import Report


def report(loop: Loop, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page with its plots and champions, the tables and the summary."""
    config = loop.config
    encodings = config.evolution.named
    curves = read_curves(loop, results)
    rows = net_rows(loop, results, curves)
    shown = shown_counts(loop, results)
    summary = summarise(loop, results, manifest, curves, rows, shown)
    files: dict[str, bytes] = {}
    for chain in config.chains:
        lines = [
            (round, curves[round, chain if round else BASE, encoding])
            for encoding in encodings
            for round in range(config.rounds + 1)
        ]
        titles = [f"attacked by {encoding}" for encoding in encodings]
        files |= light_and_dark(_plot(chain), partial(rounds_plot, lines, titles))
    for key, judged in loop.nets.items():
        if key.seed != config.evolution.seeds[0]:
            continue
        for encoding, campaign in judged.campaigns.items():
            champions = results.with_pictures(campaign, ChampionRow)
            images = np.stack([decode_png(row.png or b"") for row in champions])
            files[_strip(key.round, key.trained_on, encoding)] = encode_png(strip(images))
    tables = {
        "retrain.csv": nets_table(loop, rows),
        "shown.csv": shown_table(shown),
        "curves.csv": curves_table(curves),
    }
    return Report(page(manifest, config, summary, results.took()), files, tables, summary)


def page(
    manifest: Mapping[str, Any], config: RetrainConfig, summary: Mapping[str, Any], took: str
) -> str:
    """The page as HTML text.

    Args:
        manifest: of the run.
        config: of the run.
        summary: the content of ``summary.json``.
        took: how long the run took, in words.
    """
    base, *_ = summary["nets"]
    return PAGES.render(
        "retrain.html",
        title=f"Retraining {Path(summary['base']['name']).stem} on pictures that fool it",
        manifest=manifest,
        summary=summary,
        took=took,
        encodings=list(config.evolution.named),
        images=config.images,
        training=config.training,
        ascent=config.ascent,
        chains=[
            {
                "name": chain,
                "about": _about(config, chain),
                "plot": _plot(chain),
                "nets": [base, *(n for n in summary["nets"] if n["trained_on"] == chain)],
            }
            for chain in config.chains
        ],
        strips=[
            {
                "round": net["round"],
                "trained_on": net["trained_on"],
                "files": [
                    _strip(net["round"], net["trained_on"], e) for e in config.evolution.named
                ],
            }
            for net in summary["nets"]
        ],
        shown=_shown(summary["nets"]),
    )


def _about(config: RetrainConfig, chain: str) -> str:
    return " and ".join(config.encodings_of(chain))


def _shown(nets: Any) -> list[dict[str, Any]]:
    """Champions on other nets: a row per net, encoding and other net."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for net in nets:
        for one in net["shown"]:
            key = (net["round"], net["trained_on"], one["encoding"], one["other"])
            row = rows.setdefault(
                key,
                {
                    "round": net["round"],
                    "trained_on": net["trained_on"],
                    "encoding": one["encoding"],
                    "other": one["other"],
                },
            )
            row[one["measure"]] = one
    return list(rows.values())


def _plot(chain: str) -> str:
    return f"curves-{chain}"


def _strip(round: int, chain: str, encoding: str) -> str:
    return f"champions/round-{round}-{chain}-{encoding}.png"
