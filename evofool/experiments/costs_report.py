"""``report/index.html`` of a comparison: how much of it is the cost function?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evofool.experiments.costs_config import CostsConfig
from evofool.experiments.costs_outputs import (
    CLEAN,
    FGSM_ROW,
    FLOATS,
    PICTURES,
    Champion,
    net_name,
)
from evofool.experiments.curves import Curve
from evofool.experiments.defend_plots import curves_plot
from evofool.experiments.pages import PAGES
from evofool.files import read_file
from evofool.report.figures import light_and_dark
from evofool.report.output import PAGE
from evofool.report.theme import DARK, LIGHT
from evofool.store import CostsFolder
from evofool.text import probability

TITLES: Mapping[str, str] = {
    "cross-entropy": "Softmax, cross entropy",
    "sigmoid": "Independent sigmoids",
    "squared-error": "Softmax, squared error",
    "rbf": "RBF layer",
}
QUESTIONS: Mapping[str, str] = {
    CLEAN: "Clean test pictures: errors",
    FLOATS: "Noise N(0, I), as drawn: some class is claimed",
    PICTURES: "The same noise as pictures, cut to [0, 1] and 8 bits: some class is claimed",
    FGSM_ROW: "FGSM: errors",
}
PUBLISHED: Sequence[tuple[str, str]] = (
    ("maxout net, softmax", "98.35 %"),
    ("maxout net, independent sigmoids", "68 %"),
    ("softmax regression", "59.8 %"),
    ("RBF units on pixels", "0 %"),
)
"""Goodfellow et al. 2015, section 7: errors on N(0, I), read in the paper."""
_LIGHT: Mapping[str, str] = {
    "cross-entropy": "#97403f", "sigmoid": "#2f6690", "squared-error": "#8a6d1d", "rbf": "#3c7a4d",
}  # fmt: skip
_DARK: Mapping[str, str] = {
    "cross-entropy": "#e58f86", "sigmoid": "#7fb4dd", "squared-error": "#e3c562", "rbf": "#8fce9c",
}  # fmt: skip
_DASHES: Mapping[str, Any] = {
    "cross-entropy": "-", "sigmoid": (0, (5, 2)), "squared-error": (0, (1, 1.5)),
    "rbf": (0, (6, 2, 1, 2)),
}  # fmt: skip


def write_report(
    run: CostsFolder,
    config: CostsConfig,
    found: Mapping[str, Any],
    curves: Sequence[Curve],
    champions: Sequence[Champion],
    labels: Sequence[str],
) -> Path:
    """Draw the curves, copy the champions of the first seed and write the page.

    Args:
        run: the run folder.
        config: of the run.
        found: the content of ``summary.json``.
        curves: of evolution.
        champions: of every net.
        labels: names of the classes.

    Returns:
        Where the page is.
    """
    draw = partial(curves_plot, curves, dashes=_DASHES)
    files = light_and_dark("curves", draw, {**LIGHT, **_LIGHT}, {**DARK, **_DARK})
    for file, data in files.items():
        run.write_file(f"report/{file}", data, durable=False)
    rows = []
    for net in config.nets:
        name = net_name(net.loss, config.seeds[0])
        for encoding in config.evolution.encodings:
            own = [c for c in champions if (c.net, c.encoding) == (name, encoding)]
            for champion in own:
                run.write_file(_picture(champion), read_file(champion.picture), durable=False)
            rows.append({"loss": net.loss, "encoding": encoding, "champions": own})
    text = page(run.manifest, found, rows, labels)
    return run.write_file(PAGE, text.encode())


def page(
    manifest: Mapping[str, Any],
    found: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
) -> str:
    """The page as HTML text.

    Args:
        manifest: of the run.
        found: the content of ``summary.json``.
        rows: champions by loss and encoding.
        labels: names of the classes.
    """
    return PAGES.render(
        "costs.html",
        title="How much of it is the cost function?",
        manifest=manifest,
        found=found,
        titles=TITLES,
        questions=QUESTIONS,
        published=PUBLISHED,
        answers=answers(found),
        rows=[
            {
                **row,
                "champions": [
                    {
                        "file": _picture(champion).removeprefix("report/"),
                        "label": labels[champion.class_index],
                        "confidence": champion.confidence,
                    }
                    for champion in row["champions"]
                ],
            }
            for row in rows
        ],
    )


def answers(found: Mapping[str, Any]) -> list[str]:
    """One sentence a measure: from which loss to which it reaches, and how far seeds differ."""
    nets = found["nets"]
    columns: list[tuple[str, list[Any], str, Callable[[float], str]]]
    columns = [(question, [net["measures"][key] for net in nets], "rate", "{:.1%}".format)
               for key, question in QUESTIONS.items()]  # fmt: skip
    for k, evolved in enumerate(nets[0]["evolution"]):
        name = f"Evolution, {evolved['encoding']}: median confidence"
        cells = [net["evolution"][k] for net in nets]
        columns.append((name, cells, "median_confidence", probability))
    said = []
    for question, cells, key, form in columns:
        values = [cell[key] for cell in cells]
        low, high = values.index(min(values)), values.index(max(values))
        least, most = (TITLES[nets[i]["loss"]] for i in (low, high))
        spread = max(cell["most"] - cell["least"] for cell in cells)
        said.append(
            f"{question}: from {form(values[low])} ({least}) to"
            f" {form(values[high])} ({most}); seeds of one loss differ by up to"
            f" {form(spread)}."
        )
    return said


def _picture(champion: Champion) -> str:
    return f"report/champions/{champion.net}-{champion.encoding}-{champion.class_index:04d}.png"
