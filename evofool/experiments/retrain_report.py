"""``report/`` of a retraining loop: one static page, with its pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from evofool.experiments.pages import PAGES
from evofool.experiments.retrain_chain import BASE, NetKey, RunKey
from evofool.experiments.retrain_config import RetrainConfig
from evofool.experiments.retrain_measures import champions
from evofool.experiments.retrain_outputs import Curves, chains
from evofool.experiments.retrain_plots import rounds_plot, strip
from evofool.images import encode_png
from evofool.report.figures import light_and_dark
from evofool.report.output import PAGE
from evofool.store import RetrainFolder


def write_report(
    run: RetrainFolder, config: RetrainConfig, found: Mapping[str, Any], curves: Curves
) -> Path:
    """Draw the pictures and write the page; returns where it is.

    Args:
        run: the run folder.
        config: of the run.
        found: the content of ``summary.json``.
        curves: by round, chain and encoding.
    """
    encodings = config.evolution.encodings
    for chain in config.trained_on:
        lines = [
            (round, curves[round, chain if round else BASE, encoding])
            for encoding in encodings
            for round in range(config.rounds + 1)
        ]
        titles = [f"attacked by {encoding}" for encoding in encodings]
        files = light_and_dark(_plot(chain), partial(rounds_plot, lines, titles))
        for name, data in files.items():
            run.write_file(f"report/{name}", data, durable=False)
    seed = config.evolution.seeds[0]
    for round in range(config.rounds + 1):
        for chain in chains(config, round):
            for encoding in encodings:
                images, _ = champions(run.path, RunKey(NetKey(round, chain, seed), encoding))
                run.write_file(
                    _strip(round, chain, encoding), encode_png(strip(images)), durable=False
                )
    return run.write_file(PAGE, page(run.manifest, config, found).encode())


def page(manifest: Mapping[str, Any], config: RetrainConfig, found: Mapping[str, Any]) -> str:
    """The page as HTML text.

    Args:
        manifest: of the run.
        config: of the run.
        found: the content of ``summary.json``.
    """
    base, *_ = found["nets"]
    return PAGES.render(
        "retrain.html",
        title=f"Retraining {Path(found['base']['name']).stem} on what fools it",
        manifest=manifest,
        found=found,
        encodings=list(config.evolution.encodings),
        images=config.images,
        training=config.training,
        ascent=config.ascent,
        chains=[
            {
                "name": chain,
                "about": _about(config, chain),
                "plot": _plot(chain),
                "nets": [base, *(n for n in found["nets"] if n["trained_on"] == chain)],
            }
            for chain in config.trained_on
        ],
        strips=[
            {
                "round": net["round"],
                "trained_on": net["trained_on"],
                "files": [
                    _strip(net["round"], net["trained_on"], e).removeprefix("report/")
                    for e in config.evolution.encodings
                ],
            }
            for net in found["nets"]
        ],
        shown=_shown(found["nets"]),
    )


def _about(config: RetrainConfig, chain: str) -> str:
    return " and ".join(config.encodings_of(chain))


def _shown(nets: Any) -> list[dict[str, Any]]:
    """Champions on other nets: a row a net, encoding and other net."""
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
    return f"report/champions/round-{round}-{chain}-{encoding}.png"
