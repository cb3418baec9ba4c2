"""``report/`` of an experiment on signs: tables, curves over distance and angle, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from evofool.experiments.engine import Results
from evofool.experiments.signs.painted import Rows, file_name
from evofool.experiments.signs.shown import on_paper, shows, strips
from evofool.experiments.signs.summary import rates_table, summary, views_table
from evofool.experiments.signs.works import PaintedRow, SeenRow
from evofool.report.figures import (
    dress,
    grid_lines,
    legend_beside,
    light_and_dark,
    name_axes,
    panels,
    to_png,
    tones,
)
from evofool.report.output import Report
from evofool.report.sections import Figure, Picture, Section, sections_page
from evofool.report.theme import Colours
from evofool.signs.footage import Approach
from evofool.text import probability

SHOWN = 12
"""Pictures of a row, net and method that the page shows."""
_DASHES: Sequence[Any] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_HOW = (
    "Success: the net's first answer is the target. Untransformed: to the saved picture as it is."
    " Transformed: under each of the transforms that were held back, so that every picture counts"
    " as often; in the cells Wilson's 95 % interval, which takes the transforms of one picture for"
    " independent. Under all: of the pictures, those that hold under every one of them. So before:"
    " of n, those that the net called the target before they were painted. Change: mean change of a"
    " value, on [0, 1]. Cost: images forward plus twice images backward for a picture; each"
    " transform of a picture is one."
)


def report(experiment: Rows, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page, its figures and pictures, ``signs.csv``, ``views.csv`` and the summary."""
    told = summary(experiment, results, manifest)
    files: dict[str, bytes] = {}
    published = told["published"]
    sections = [
        Section(
            "How often is the target read?",
            f"{_HOW} Published: {published['claim']} ({published['source']}); the paper's shares of"
            " success are not shown, since they were not read in its text.",
            tables=[rates_table(told)],
        ),
        _curves(told, files, "afar", "How far does it carry?", told["sides"],
                "pixels of the sign's side in the camera's picture"),
        _curves(told, files, "turned", "How far from the side?", told["angles"],
                "degrees by which the board is turned"),
    ]  # fmt: skip
    sections += _driven(experiment, results, told, files)
    beside: dict[str, bytes] = {}
    if any(shows(experiment, one) for one in experiment.painted):
        paper, beside = on_paper(experiment, results, told)
        sections += [paper, *_pictures(experiment, results, files)]
    page = sections_page(
        "Signs that are read as other signs",
        [section for section in sections if section is not None],
        subject="signs",
        lede=[*told["sentences"], *experiment.notes],
        facts={
            "run": str(manifest["run_id"]),
            "seed": str(experiment.config.seed),
            "scale": told["scale"],
            "command": told["command"],
            "took": f"{told['seconds']:.0f} s",
        },
        files=("signs.csv", "views.csv", "summary.json", "config.yaml", *beside),
    )
    tables = {"signs.csv": rates_table(told), "views.csv": views_table(told)}
    return Report(page, files, tables, told, beside)


def _driven(
    experiment: Rows, results: Results, told: Mapping[str, Any], files: dict[str, bytes]
) -> list[Section]:
    if not told["frames"]:
        return []
    about = "metres to the sign"
    way = Approach()
    note = (
        f"Every picture as a square board of {way.side * 1000:g} mm in a drawn street,"
        f" {told['frames']} frames from {way.far:g} to {way.near:g} m, with light, blur, noise and"
        " a simulated detector; a frame counts if the net's first answer is the target. Frames of"
        " one sign are not independent. Stills are of the sign of each kind that is read most"
        " often, whichever method painted it. evofool drive makes a film of any picture of this"
        " page."
    )
    figures = _figures(told, files, "along", told["metres"], about)
    sections = [Section("Driven by", note, figures, abreast=True)]
    if any(shows(experiment, one) for one in experiment.painted):
        pictures = strips(experiment, results, told, files)
        sections.append(Section("Stills", pictures=pictures, strips=True))
    return sections


def _curves(
    told: Mapping[str, Any],
    files: dict[str, bytes],
    key: str,
    title: str,
    places: Sequence[float],
    about: str,
) -> Section | None:
    if len(places) < 2:
        return None
    figures = _figures(told, files, key, places, about)
    note = (
        "A line for each kind of picture and method: the share of the pictures that are called the"
        " target. The detector is taken to cut the sign out of the camera's picture exactly."
    )
    return Section(title, note, figures, abreast=True)


def _figures(
    told: Mapping[str, Any],
    files: dict[str, bytes],
    key: str,
    places: Sequence[float],
    about: str,
) -> list[Figure]:
    figures = []
    for number, net in enumerate(told["nets"]):
        lines = [line for line in told["lines"] if line["net"] == net]
        name = f"{key}-{number}"
        files |= light_and_dark(name, partial(_plot, net, lines, key, places, about))
        figures.append(Figure(name, f"{net}: share that is read as the target over {about}"))
    return figures


def _plot(
    net: str,
    lines: Sequence[Mapping[str, Any]],
    key: str,
    places: Sequence[float],
    about: str,
    colours: Colours,
) -> bytes:
    figure, (axes,) = panels(1, (7.4, 4.0), colours)
    rows = list(dict.fromkeys(line["row"] for line in lines))
    methods = list(dict.fromkeys(line["method"] for line in lines))
    shades = dict(zip(rows, tones(len(rows), colours), strict=True))
    order = np.argsort(places)
    x = np.array(places, float)[order]
    for line in lines:
        y = np.array([one["rate"] or 0.0 for one in line[key]])[order]
        dash = _DASHES[methods.index(line["method"]) % len(_DASHES)]
        label = f"{line['row']}, {line['method']}"
        axes.plot(x, y, color=shades[line["row"]], linestyle=dash, marker="o", markersize=3,
                  linewidth=2, label=label)  # fmt: skip
    dress(axes, colours, net)
    axes.set_ylim(-0.04, 1.04)
    if key != "turned":  # from far to near
        axes.invert_xaxis()
    name_axes(axes, colours, x=about, y="read as the target")
    grid_lines(axes, colours)
    legend_beside(axes, colours)
    return to_png(figure, colours)


def _pictures(experiment: Rows, results: Results, files: dict[str, bytes]) -> list[Section]:
    sections = []
    for one in experiment.painted:
        if not shows(experiment, one):
            continue
        rows = results.with_pictures(one.painted, PaintedRow)[:SHOWN]
        seen = {row.item: row for row in results.rows(one.seen, SeenRow)}
        pictures = []
        for row in rows:
            name = file_name(one.row, one.net, one.method, f"{row.item:04d}")
            file = f"pictures/{name}.png"
            files[file] = row.png or b""
            sight = seen[row.item]
            held = f"{sight.held} of {experiment.config.held_back}"
            note = f"{probability(sight.confidence)}, {held}"
            pictures.append(Picture(file, experiment.labels[row.target], note))
        note = (
            "Below each its target, the net's confidence in it, and how many transforms it holds."
        )
        sections.append(Section(f"{one.row}, {one.net}, {one.method}", note, pictures=pictures))
    return sections
