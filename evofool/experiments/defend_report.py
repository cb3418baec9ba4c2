"""``report/``: one static page of an evaluation, complete but for its pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evofool.classifiers import Classifier
from evofool.experiments.curves import Curve
from evofool.experiments.defend_config import DefendConfig
from evofool.experiments.defend_pictures import (
    MakeScorer,
    Shown,
    chosen,
    examples,
    first_filters,
    loss_surface,
)
from evofool.experiments.defend_plots import curves_plot, filters_plot, surfaces_plot
from evofool.experiments.defend_setup import strength
from evofool.experiments.pages import PAGES
from evofool.experiments.threats import Ground
from evofool.images import encode_png
from evofool.report.figures import light_and_dark
from evofool.report.output import PAGE
from evofool.store import DefendFolder

EXAMPLES, SURFACES = 8, 3
"""Pictures that are shown before and after, and of which the loss is drawn."""

GROUPS: Mapping[str, str] = {
    "clean": "No attack",
    "white": "White box, the defense unknown to the attacker",
    "adaptive": "White box, adapted to the defense",
    "transfer": "Pictures made on another net",
    "black": "Black box: answers only",
}
VERDICTS: Mapping[str, tuple[str, str]] = {
    "red": ("Red", "This net hides its gradients: its white-box rows say nothing of its strength."),
    "amber": ("Amber", "There are signs of hidden gradients: read the white-box rows with care."),
    "green": ("Green", "No sign of hidden gradients was found."),
}


_NAMES: Mapping[str, str] = {
    "jpeg": "JPEG",
    "bit-depth": "Bit depth",
    "median": "Median blur",
    "max-softmax": "Maximum softmax",
    "energy": "Energy",
    "trained": "A trained net",
    "denoiser": "A denoiser",
}


_UNTITLED = frozenset({"name", "epochs", "batch", "lr", "images", "attacks", "sources", "device"})
"""Keys of a defense that no title needs: how a denoiser was trained is in its card."""


def write_report(
    run: DefendFolder,
    config: DefendConfig,
    nets: Mapping[str, Classifier],
    ground: Ground,
    found: Mapping[str, Any],
    curves: Sequence[Curve],
    make_scorer: MakeScorer,
) -> Path:
    """Draw the pictures and write the page; returns where it is.

    Args:
        run: the run folder.
        config: of the run.
        nets: by name, the undefended one first.
        ground: what was attacked.
        found: the content of ``summary.json``.
        curves: of evolution.
        make_scorer: for the nets.
    """
    tried = strength(config)
    rows = chosen(nets, ground, EXAMPLES, make_scorer)
    shown = examples(nets, ground, tried, rows, make_scorer) if config.pictures else []
    for one in shown:
        run.write_file(_picture(one, "clean"), encode_png(one.clean), durable=False)
        for net, pixels in one.attacked.items():
            run.write_file(_picture(one, net), encode_png(pixels), durable=False)
    filters, same = _filters(nets)
    surfaces = {
        name: [
            loss_surface(net, ground, row, tried.eps, tried.seed, make_scorer)
            for row in rows[:SURFACES]
        ]
        for name, net in nets.items()
    }
    files = light_and_dark("surfaces", partial(surfaces_plot, surfaces, tried.eps))
    if filters:
        files |= light_and_dark("filters", partial(filters_plot, filters))
    if curves:
        files |= light_and_dark("curves", partial(curves_plot, curves))
    for name, data in files.items():
        run.write_file(f"report/{name}", data, durable=False)
    text = page(run.manifest, found, shown, nets, has_filters=bool(filters), same_filters=same)
    return run.write_file(PAGE, text.encode())


def page(
    manifest: Mapping[str, Any],
    found: Mapping[str, Any],
    shown: Sequence[Shown],
    nets: Mapping[str, Classifier],
    *,
    has_filters: bool,
    same_filters: bool,
) -> str:
    """The page as HTML text.

    Args:
        manifest: of the run.
        found: the content of ``summary.json``.
        shown: pictures before and after.
        nets: by name.
        has_filters: whether the first layers are drawn.
        same_filters: whether both nets have the same ones.
    """
    verdict = found["verdict"]
    word, sense = VERDICTS[verdict["colour"]]
    labels = {name: net.labels for name, net in nets.items()}
    return PAGES.render(
        "defend.html",
        title=f"{_described(found['defense'])} on {found['base']['name']}",
        manifest=manifest,
        found=found,
        nets=list(nets),
        groups=_grouped(found["threats"], list(nets)),
        strongest=_strongest(found["threats"], list(nets)),
        verdict=verdict,
        word=word,
        sense=sense,
        deciding=_deciding(verdict),
        shown=[
            {
                "label": labels["undefended"][one.label],
                "clean": _picture(one, "clean").removeprefix("report/"),
                "attacked": [
                    {
                        "net": net,
                        "file": _picture(one, net).removeprefix("report/"),
                        "answer": labels[net][one.answers[net]],
                        "fooled": one.answers[net] != one.label
                        and one.answers[net] != nets[net].reject,
                        "confidence": one.confidences[net],
                    }
                    for net in nets
                ],
            }
            for one in shown
        ],
        has_filters=has_filters,
        same_filters=same_filters,
    )


def _filters(nets: Mapping[str, Classifier]) -> tuple[dict[str, Any], bool]:
    """First layers by net, and whether all nets have the same; one is drawn then."""
    import numpy as np

    found = {}
    for name, net in nets.items():
        weights = first_filters(net)
        if weights is None:
            return {}, False
        found[name] = weights
    first, *others = found.values()
    if all(other.shape == first.shape and np.array_equal(first, other) for other in others):
        return {"undefended": first}, len(found) > 1
    return found, False


def _grouped(threats: Sequence[Mapping[str, Any]], nets: Sequence[str]) -> list[dict[str, Any]]:
    """The matrix for the table: groups of threats, each with a row or None for every net."""
    groups = []
    for key, about in GROUPS.items():
        names = dict.fromkeys(row["threat"] for row in threats if row["group"] == key)
        rows = []
        for name in names:
            by_net = {
                row["net"]: row for row in threats if (row["group"], row["threat"]) == (key, name)
            }
            n = next(iter(by_net.values()))["n"]
            rows.append({"threat": name, "n": n, "cells": [(net, by_net.get(net)) for net in nets]})
        if rows:
            groups.append({"key": key, "about": about, "rows": rows})
    return groups


def _deciding(verdict: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings that made the verdict what it is."""
    red = [f for f in verdict["findings"] if f["colour"] == "red"]
    if verdict["colour"] == "red":
        return [f for f in red if f["decisive"]]
    return red + [f for f in verdict["findings"] if f["colour"] == "amber"]


def _strongest(
    threats: Sequence[Mapping[str, Any]], nets: Sequence[str]
) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(net, its clean row, the row of most errors) for each net."""
    found = []
    for net in nets:
        rows = [row for row in threats if row["net"] == net]
        clean = next(row for row in rows if row["group"] == "clean")
        found.append((net, clean, max(rows, key=lambda row: float(row["rate"]))))
    return found


def _described(defense: Mapping[str, Any]) -> str:
    if defense["name"] == "none":
        return "No defense"
    options = ", ".join(
        f"{key.replace('_', ' ')} {_shown(key, value)}"
        for key, value in defense.items()
        if key not in _UNTITLED
    )
    name = _NAMES.get(str(defense["name"]), str(defense["name"]))
    return f"{name}{f' ({options})' if options else ''}"


def _shown(key: str, value: Any) -> str:
    """One option of a defense: a file by its name."""
    return Path(str(value)).stem if key in ("weights", "train") else str(value)


def _picture(one: Shown, what: str) -> str:
    return f"report/examples/{one.index:05d}-{what}.png"
