"""``report/``: one static page of an evaluation, complete but for its pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evofool.attacks.result import name_of
from evofool.experiments.curve_plots import curves_plot
from evofool.experiments.curves import curves_table
from evofool.experiments.defend.matrix import UNDEFENDED, Evaluation
from evofool.experiments.defend.plots import filters_plot, surfaces_plot
from evofool.experiments.defend.summary import (
    ShownNet,
    read_curves,
    shown_nets,
    summarise,
    table,
)
from evofool.experiments.engine import Results
from evofool.experiments.pages import PAGES
from evofool.experiments.works.answers import AnswerRow
from evofool.experiments.works.first_layer import FilterRow
from evofool.experiments.works.surface import SurfaceRow, all_right
from evofool.images import UInt8Images, decode_png, encode_png
from evofool.report.figures import light_and_dark
from evofool.report.output import Report

EXAMPLES = 8
"""Pictures that are shown before and after."""

GROUPS: Mapping[str, str] = {
    "clean": "No attack",
    "white": "White box, the defense unknown to the attacker",
    "adaptive": "White box, adapted to the defense",
    "transfer": "Pictures made on another net",
    "black": "Black box: answers only",
}
VERDICTS: Mapping[str, tuple[str, str]] = {
    "red": (
        "Red",
        ("This net hides its gradients: its white-box rows say nothing about its strength."),
    ),
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


def report(evaluation: Evaluation, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page with its pictures, the tables and the summary."""
    nets = shown_nets(evaluation, results)
    curves = read_curves(evaluation, results, nets)
    summary = summarise(evaluation, results, manifest, nets, curves)
    shown, pictures = _examples(evaluation, results, nets)
    filters, same = _filters(results, nets)
    surfaces = {
        net.name: [row.values for row in results.rows(evaluation.surfaces[net.name], SurfaceRow)]
        for net in nets
    }
    eps = evaluation.config.threats.eps
    files = {**pictures, **light_and_dark("surfaces", partial(surfaces_plot, surfaces, eps))}
    if filters:
        files |= light_and_dark("filters", partial(filters_plot, filters))
    if curves:
        files |= light_and_dark("curves", partial(curves_plot, curves))
    verdict = summary["verdict"]
    word, sense = VERDICTS[verdict["colour"]]
    names = [net.name for net in nets]
    page = PAGES.render(
        "defend.html",
        title=f"{_described(summary['defense'])} on {summary['base']['name']}",
        manifest=manifest,
        summary=summary,
        took=results.took(),
        nets=names,
        groups=_grouped(summary["threats"], names),
        strongest=_strongest(summary["threats"], names),
        verdict=verdict,
        word=word,
        sense=sense,
        deciding=_deciding(verdict),
        shown=shown,
        has_filters=bool(filters),
        same_filters=same,
    )
    tables = {"threats.csv": table(summary["threats"]), "curves.csv": curves_table(curves)}
    return Report(page, files, tables, summary)


def _examples(
    evaluation: Evaluation, results: Results, nets: Sequence[ShownNet]
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Pictures before and after the attack that knows the defense, and their files by name."""
    if not evaluation.config.pictures:
        return [], {}
    rows = all_right([results.rows(net.works.clean, AnswerRow) for net in nets], EXAMPLES)
    attacked = {
        net.name: {row.item: row for row in results.with_pictures(net.works.adaptive, AnswerRow)}
        for net in nets
    }
    shown, files = [], {}
    for row in rows:
        clean = _picture(row, "clean")
        files[clean] = encode_png(evaluation.pictures.images[row])
        after = []
        for net in nets:
            answer, name = attacked[net.name][row], _picture(row, net.name)
            files[name] = answer.png or b""
            after.append(
                {
                    "net": net.name,
                    "file": name,
                    "answer": name_of(net.labels, answer.predicted),
                    "fooled": answer.is_error,
                    "confidence": answer.confidence,
                }
            )
        label = nets[0].labels[int(evaluation.pictures.labels[row])]
        shown.append({"label": label, "clean": clean, "attacked": after})
    return shown, files


def _filters(
    results: Results, nets: Sequence[ShownNet]
) -> tuple[dict[str, list[UInt8Images]], bool]:
    """First layers by net, and whether all nets have the same; one is drawn then."""
    rows = [results.with_pictures(net.works.first_layer, FilterRow) for net in nets]
    if not all(rows):
        return {}, False
    tiles = [[decode_png(row.png or b"") for row in each] for each in rows]
    same = all(
        [(row.largest, row.png) for row in each] == [(row.largest, row.png) for row in rows[0]]
        for each in rows[1:]
    )
    if same:
        return {UNDEFENDED: tiles[0]}, len(nets) > 1
    return {net.name: each for net, each in zip(nets, tiles, strict=True)}, False


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
    strongest = []
    for net in nets:
        rows = [row for row in threats if row["net"] == net]
        clean = next(row for row in rows if row["group"] == "clean")
        strongest.append((net, clean, max(rows, key=lambda row: float(row["rate"]))))
    return strongest


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


def _picture(index: int, what: str) -> str:
    return f"examples/{index:05d}-{what}.png"
