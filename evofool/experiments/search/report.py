"""``report/`` of a comparison of ways to search."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from evofool.experiments.curves import curve_columns, curve_points
from evofool.experiments.engine import Results
from evofool.experiments.search import tables
from evofool.experiments.search.classes import classes, leads
from evofool.experiments.search.config import SearchConfig
from evofool.experiments.search.searched import Searched
from evofool.experiments.search.summary import Outcome, read, summarise
from evofool.experiments.works.campaign import ChampionRow
from evofool.report.figures import (
    banded_line,
    dress,
    evaluations_axis,
    grid_lines,
    legend_beside,
    light_and_dark,
    name_axes,
    odds_axis,
    panels,
    to_png,
    tones,
)
from evofool.report.output import Report
from evofool.report.sections import Figure, Picture, Section, sections_page
from evofool.report.tables import Table, Text
from evofool.report.theme import Colours
from evofool.text import probability

SHOWN = 48
"""Pictures of each variant and net that the page shows, of the first seed, the surest first."""
_WITNESSES = (
    "If a picture looked like its class, other nets would agree on the class, and natural"
    " pictures would be near. For the {} surest pictures of each campaign, the tables show how many"
    " of them another net puts into the same class, its median confidence in that class, and the"
    " distance to the nearest natural picture: in levels of 0 to 255, and in the features that go"
    " into the net's last layer."
)
_LEADS = (
    "Confidences are medians over the seeds. The table counts the classes in which a variant's"
    " champion is surer than that of every other variant. It names those with the largest lead"
    " in log-odds, with the variant's confidence and, in brackets, that of the best other"
    " variant."
)
_DASHES: Sequence[Any] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


def report(
    config: SearchConfig,
    searched: Sequence[Searched],
    results: Results,
    manifest: Mapping[str, Any],
) -> Report:
    """The page with a plot a net, the tables and the summary."""
    outcomes = read(config, searched, results)
    summary = summarise(config, outcomes, manifest, results.folder.seconds())
    files: dict[str, bytes] = {}
    sections = []
    for k, net in enumerate(summary["nets"]):
        own = [outcome for outcome in outcomes if outcome.searched.net == net["net"]]
        name = f"search-{k}"
        files |= light_and_dark(name, partial(_plot, own))
        about = f"{net['net']}: median confidence over evaluations, one line for each variant"
        part = {**summary, "nets": [net]}
        note = (
            "Lines are medians over the seeds of the median over the classes, and bands their"
            " 95 % bootstrap intervals. The table has the number of evaluations to reach each"
            " median confidence."
        )
        numbers = [tables.ends(part)]
        if (ratios := tables.fewer(part)).rows:
            numbers.append(ratios)
            note += (
                f" Below it stands how many times as many {summary['baseline']} takes; with > if"
                " it never reached the median."
            )
        sections.append(Section(net["net"], note, [Figure(name, about)], numbers))
        seen = [one for one in (tables.shown(part), tables.distances(part)) if one.rows]
        if seen:
            title = "Do the pictures look like their classes?"
            sections.append(Section(title, _WITNESSES.format(config.surest), tables=seen))
        if len(own) > 1:
            sections.append(Section("Who wins which classes?", _LEADS, tables=[leads(own)]))
        sections += [_pictures(config, one, results, files) for one in own]
    page = sections_page(
        "How many pictures does a search need?",
        sections,
        subject="search",
        lede=sentences(summary),
        facts={
            "command": str(manifest.get("command") or ""),
            "seeds": ", ".join(map(str, config.seeds)),
            "took": results.took(),
        },
        files=("search.csv", "curves.csv", "classes.csv", "summary.json", "config.yaml"),
    )
    points = [
        (one.searched.net, one.searched.variant.name, *point)
        for one in outcomes
        for point in curve_points(one.curve)
    ]
    curves = Table(curve_columns(Text("net"), Text("variant")), points)
    told = {
        "search.csv": tables.numbers(summary),
        "curves.csv": curves,
        "classes.csv": classes(outcomes),
    }
    return Report(page, files, told, summary)


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """One a net: the variant whose median ended highest, and what it needs."""
    told = []
    for net in summary["nets"]:
        best = max(net["variants"], key=lambda v: v["median_confidence"])
        base = next(v for v in net["variants"] if v["variant"] == summary["baseline"])
        text = (
            f"{net['net']}: {best['variant']} ends highest, at a median confidence of"
            f" {probability(best['median_confidence'])} after {best['evaluations']:,} pictures;"
            f" {base['variant']} ends at {probability(base['median_confidence'])}"
            f" after {base['evaluations']:,}."
        )
        ratios = [(m, n) for m, n in best["needed"].items() if n["ratio"] is not None]
        if ratios and best is not base:
            median, n = max(ratios, key=lambda told: (told[1]["ratio"], float(told[0])))
            more = "more than " if n["at_least"] else ""
            text += (
                f" To reach a median of {median}, {base['variant']} needs {more}{n['ratio']:.1f}"
                f" times as many pictures as {best['variant']}."
            )
        told.append(text)
    if len(summary["seeds"]) == 1:
        told.append("One seed: there are no intervals.")
    return told


def _pictures(
    config: SearchConfig, one: Outcome, results: Results, files: dict[str, bytes]
) -> Section:
    campaign = one.searched.campaigns[config.seeds[0]]
    champions = sorted(
        results.with_pictures(campaign, ChampionRow), key=lambda row: (-row.confidence, row.item)
    )
    pictures = []
    for row in champions[:SHOWN]:
        whose = f"{_file(one.searched.net)}-{_file(one.searched.variant.name)}"
        file = f"pictures/{whose}-{row.item:04d}.png"
        files[file] = row.png or b""
        label = one.searched.classifier.labels[row.item]
        pictures.append(Picture(file, label, probability(row.confidence)))
    title = f"{one.searched.variant.name} on {one.searched.net}: the surest of seed"
    return Section(f"{title} {config.seeds[0]}", pictures=pictures)


def _plot(outcomes: Sequence[Outcome], colours: Colours) -> bytes:
    figure, (axes,) = panels(1, (8.2, 4.6), colours)
    ends = []
    shades = tones(len(outcomes), colours)
    for k, (one, shade) in enumerate(zip(outcomes, shades, strict=True)):
        low, high = one.curve.interval()
        median = one.curve.median
        filled = median > 0
        banded_line(
            axes, one.curve.evaluations[filled], median[filled], low[filled], high[filled],
            colour=shade, dash=_DASHES[k % len(_DASHES)], label=one.searched.variant.name,
        )  # fmt: skip
        ends += [values[filled] for values in (low, median, high)]
    dress(axes, colours, outcomes[0].searched.net)
    evaluations_axis(axes, colours, log=True)
    grid_lines(axes, colours)
    odds_axis(axes, ends, colours)
    name_axes(axes, colours, y="median confidence")
    legend_beside(axes, colours)
    return to_png(figure, colours)


def _file(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.") or "net"
