"""``report/`` of an experiment on signs: tables, curves over distance and angle, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from evofool.experiments.engine import Results
from evofool.experiments.signs.painted import Rows, file_name
from evofool.experiments.signs.shown import on_paper, shows, strips
from evofool.experiments.signs.summary import CALLED, rates_table, shown_table, summary, views_table
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
    "Shares of the n pictures of a row that the net reads as their target, with its first answer:"
    " the saved picture as it is (untransformed); over all pairs of a picture and one of the"
    " {held_back} transforms that were held back from the attack (transformed); and the pictures"
    " that are read so under every one of them (under all). Intervals are Wilson's for 95 %; they"
    " treat the transforms or frames of one picture as independent, which they are not. Change is"
    " the mean change of a value on [0, 1]. Cost is the number of images forward plus twice the"
    " images backward for one picture, where each transform of it counts as an image. Rows:"
    " photographed signs (in-distribution), logos, and blank boards (custom). {before} of {n}"
    " pictures were read as their target before they were painted. signs.csv has all columns."
)


def report(experiment: Rows, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page, its figures and pictures, ``signs.csv``, ``views.csv`` and the summary."""
    told = summary(experiment, results, manifest)
    files: dict[str, bytes] = {}
    published = told["published"]
    sections = [
        Section(
            "How often is the target read?",
            f"{_how(told)} Published: {published['claim']} ({published['source']}). The paper's"
            " shares of success are not shown here, since they were not read in its text.",
            tables=[shown_table(told)],
        ),
        _curves(told, files, "afar", "From how far away is the target read?", told["sides"],
                "pixels of the sign's side in the camera's picture"),
        _curves(told, files, "turned", "From how far to the side?", told["angles"],
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
            "took": results.took(),
        },
        files=("signs.csv", "views.csv", "summary.json", "config.yaml", *beside),
    )
    tables = {"signs.csv": rates_table(told), "views.csv": views_table(told)}
    return Report(page, files, tables, told, beside)


def _how(told: Mapping[str, Any]) -> str:
    before, n = (sum(line[key] for line in told["lines"]) for key in ("before", "n"))
    return _HOW.format(held_back=told["held_back"], before=before or "None", n=n)


def _driven(
    experiment: Rows, results: Results, told: Mapping[str, Any], files: dict[str, bytes]
) -> list[Section]:
    if not told["frames"]:
        return []
    about = "metres to the sign"
    way = Approach()
    note = (
        f"Each picture stands as a square board of {way.side * 1000:g} mm beside a drawn street. A"
        f" camera passes it and takes {told['frames']} frames from {way.far:g} to {way.near:g} m,"
        " with changing light, blur, noise and a simulated detector. A frame counts if the net's"
        " first answer is the target. Frames of one sign are not independent. The stills show the"
        " sign of each kind that is read as its target most often, whichever method painted it."
        " The command evofool drive makes a film of any picture of this page."
    )
    figures = _figures(told, files, "along", told["metres"], about)
    sections = [Section("From a passing car", note, figures, abreast=True)]
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
        "The share of the pictures that are read as their target, a line for each kind of picture"
        " and method. The sign is cut out of the camera's picture exactly, as by a perfect"
        " detector."
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
            "Below each picture stand its target, the net's confidence in it, and under how many of"
            " the transforms it is read so."
        )
        title = f"{one.method} on {one.net}: {CALLED[one.row]}"
        sections.append(Section(title, note, pictures=pictures))
    return sections
