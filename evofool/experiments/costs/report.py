"""``report/`` of a comparison: how much does the cost function matter?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from evofool.experiments.costs.nets import (
    CLEAN,
    FGSM_ROW,
    FLOATS,
    PICTURES,
    Compared,
    JudgedNet,
)
from evofool.experiments.costs.summary import read_curves, summarise, table
from evofool.experiments.curve_plots import curves_plot
from evofool.experiments.curves import curves_table
from evofool.experiments.engine import Results
from evofool.experiments.pages import PAGES
from evofool.experiments.works.campaign import ChampionRow
from evofool.report.figures import light_and_dark
from evofool.report.output import Report
from evofool.report.theme import DARK, LIGHT
from evofool.text import probability, rate

TITLES: Mapping[str, str] = {
    "cross-entropy": "Softmax, cross entropy",
    "sigmoid": "Independent sigmoids",
    "softmax-binary": "Softmax, binary cross entropy",
    "squared-error": "Softmax, squared error",
    "rbf": "RBF layer",
}
QUESTIONS: Mapping[str, str] = {
    CLEAN: "Clean test pictures: errors",
    FLOATS: "Noise N(0, I), as drawn: some class is claimed",
    PICTURES: (
        "The same noise as pictures, clipped to [0, 1] and rounded to 8 bits: some class is claimed"
    ),
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
    "softmax-binary": "#6d4a94",
}  # fmt: skip
_DARK: Mapping[str, str] = {
    "cross-entropy": "#e58f86", "sigmoid": "#7fb4dd", "squared-error": "#e3c562", "rbf": "#8fce9c",
    "softmax-binary": "#c3a4e6",
}  # fmt: skip
_DASHES: Mapping[str, Any] = {
    "cross-entropy": "-", "sigmoid": (0, (5, 2)), "squared-error": (0, (1, 1.5)),
    "rbf": (0, (6, 2, 1, 2)), "softmax-binary": (0, (10, 3)),
}  # fmt: skip


def report(compared: Compared, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page with its plot and the champions of the first seed, the tables and the summary."""
    curves = read_curves(compared, results)
    summary = summarise(compared, results, manifest, curves)
    draw = partial(curves_plot, curves, dashes=_DASHES)
    files = light_and_dark("curves", draw, {**LIGHT, **_LIGHT}, {**DARK, **_DARK})
    first = [net for net in compared.nets if net.seed == compared.config.seeds[0]]
    rows = []
    for net in first:
        for encoding in net.campaigns:
            champions = results.with_pictures(net.campaigns[encoding], ChampionRow)
            names = {row.item: _picture(net, encoding, row.item) for row in champions}
            files |= {names[row.item]: row.png or b"" for row in champions}
            shown = [
                {
                    "file": names[row.item],
                    "label": compared.labels[row.item],
                    "confidence": row.confidence,
                }
                for row in champions
            ]
            rows.append({"loss": net.loss, "encoding": encoding, "champions": shown})
    page = PAGES.render(
        "costs.html",
        title="How much does the cost function matter?",
        manifest=manifest,
        summary=summary,
        took=results.took(),
        titles=TITLES,
        questions=QUESTIONS,
        published=PUBLISHED,
        answers=answers(summary),
        rows=rows,
    )
    tables = {"costs.csv": table(summary), "curves.csv": curves_table(curves)}
    return Report(page, files, tables, summary)


def answers(summary: Mapping[str, Any]) -> list[str]:
    """One sentence a measure: its lowest and highest value, whose, and how seeds differ."""
    nets = summary["nets"]
    columns: list[tuple[str, list[Any], str, Callable[[float], str]]]
    columns = []
    for key, question in QUESTIONS.items():
        shares = [net["measures"][key] for net in nets]
        columns.append((question, shares, "rate", partial(rate, of=shares[0]["n"])))
    for k, evolved in enumerate(nets[0]["evolution"]):
        name = f"Evolution, {evolved['encoding']}: median confidence"
        cells = [net["evolution"][k] for net in nets]
        columns.append((name, cells, "median_confidence", probability))
    sentences = []
    for question, cells, key, form in columns:
        values = [cell[key] for cell in cells]
        low, high = values.index(min(values)), values.index(max(values))
        least, most = (TITLES[nets[i]["loss"]] for i in (low, high))
        spread = max(cell["most"] - cell["least"] for cell in cells)
        sentences.append(
            f"{question}: from {form(values[low])} ({least}) to"
            f" {form(values[high])} ({most}); seeds of one loss differ by up to"
            f" {form(spread)}."
        )
    return sentences


def _picture(net: JudgedNet, encoding: str, class_index: int) -> str:
    return f"champions/{net.name}-{encoding}-{class_index:04d}.png"
