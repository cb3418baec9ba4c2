"""``report/`` of a transfer matrix: heat maps, tables, LaTeX, and pictures that were evolved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from evofool.experiments.engine import Results
from evofool.experiments.transfer.matrix import Matrix
from evofool.experiments.transfer.plots import heat_map
from evofool.experiments.transfer.summary import (
    ANY,
    CLEAN,
    NOISE,
    TOP1,
    TOP5,
    MatrixCell,
    aimed_at,
    cells,
    summary,
    table,
    unseen,
)
from evofool.experiments.works.campaign import ChampionRow
from evofool.report.figures import light_and_dark
from evofool.report.output import Report
from evofool.report.sections import Figure, Picture, Section, sections_page
from evofool.report.tables import Cell, Column, Estimate, Rate, Table, Text
from evofool.text import percent, rate

SHOWN_BAR = 0.9
"""Confidence in the evolved class of which there is a figure; the others are in tables."""
MOST_PICTURES = 10
"""Champions of a source that the page shows."""


def report(matrix: Matrix, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page, its figures and pictures, ``transfer.tex``, ``transfer.csv`` and the summary."""
    entries = cells(matrix, results)
    files: dict[str, bytes] = {}
    sections: list[Section] = []
    latex: list[str] = []
    methods = list(dict.fromkeys(c.method for c in entries))
    for method in methods:
        these = [c for c in entries if c.method == method]
        evolved = any(c.measure == ANY for c in these)
        tables: list[Table] = []
        figures: list[Figure] = []
        for measure in dict.fromkeys(c.measure for c in these):
            grid = _table(matrix, these, measure)
            tables.append(grid)
            latex.append(f"% {method}: {measure}\n{grid.latex()}")
            if measure in (aimed_at(SHOWN_BAR), ANY, TOP1, TOP5):
                name = f"{_file(method)}-{_file(measure)}"
                files |= _figure(matrix, these, measure, name)
                figures.append(Figure(name, f"Heat map, {method}: {measure}, targets by sources"))
        if matrix.unseen:
            tables.append(unseen_nets := _unseen(matrix, these))
            latex.append(f"% {method}: unseen nets\n{unseen_nets.latex()}")
        pictures, pngs = _champions(matrix, results, method) if evolved else ([], {})
        files |= pngs
        title = f"Evolved pictures, {method}" if evolved else f"Attack: {method}"
        sections.append(
            Section(title, _note(matrix, evolved), figures, tables, pictures, abreast=True)
        )
    files["transfer.tex"] = "\n".join(latex).encode()
    told = summary(matrix, entries, manifest)
    page = sections_page(
        "Does what fools one net fool another?",
        sections,
        subject="transfer",
        lede=[*_lede(told), *matrix.notes],
        facts={**_facts(matrix, manifest), "took": results.took()},
        files=("transfer.csv", "report/transfer.tex", "summary.json", "config.yaml"),
    )
    return Report(page, files, {"transfer.csv": table(entries)}, told)


def _columns(matrix: Matrix, these: Sequence[MatrixCell], measure: str) -> tuple[list[str], int]:
    """Names of the columns of a matrix, sources first, and how many of them are controls."""
    there = {c.source for c in these if c.measure == measure}
    controls = [name for name in (CLEAN, NOISE) if name in there]
    return [*(net.name for net in matrix.sources), *controls], len(controls)


def _table(matrix: Matrix, these: Sequence[MatrixCell], measure: str) -> Table:
    """One measure: a row per target, a column a source, as in Tables 1 and 2 of Tramèr et al."""
    names, _ = _columns(matrix, these, measure)
    by = {(c.source, c.target): c.rate for c in these if c.measure == measure}
    most = max((c.n for c in these if c.measure == measure), default=0)
    columns: list[Column] = [
        Text("target"),
        *(Rate(name, bounds=("low", "high"), of=most) for name in names),
    ]
    rows: list[list[Cell]] = [
        [net.name, *(by.get((name, net.name)) for name in names)] for net in matrix.targets
    ]
    return Table(columns, rows, caption=f"{measure}; columns are sources{_in_common(matrix)}")


def _in_common(matrix: Matrix) -> str:
    """Which targets are members of which ensembles, for a caption."""
    said = ""
    for source in matrix.sources:
        names = [net.name for net in matrix.targets if (source.name, net.name) in matrix.in_common]
        if names:
            said += f"; share a net with {source.name}: {', '.join(names)}"
    return said


def _unseen(matrix: Matrix, these: Sequence[MatrixCell]) -> Table:
    """A row a source: its pictures on the nets that are part of no source, all measures."""
    measures = list(dict.fromkeys(c.measure for c in these))
    pooled = {m: unseen(matrix, [c for c in these if c.measure == m]) for m in measures}
    columns: list[Column] = [
        Text("source"),
        *(
            Rate(m, bounds=("low", "high"), of=max((one["n"] for one in told.values()), default=0))
            for m, told in pooled.items()
        ),
    ]
    rows: list[list[Cell]] = [
        [net.name, *(_estimate(pooled[measure].get(net.name)) for measure in measures)]
        for net in matrix.sources
    ]
    caption = f"shown to nets that no picture was made on: {', '.join(matrix.unseen)}"
    return Table(columns, rows, caption=caption)


def _estimate(told: Mapping[str, Any] | None) -> Estimate | None:
    return None if told is None else Estimate(told["rate"], told["low"], told["high"])


def _figure(
    matrix: Matrix, these: Sequence[MatrixCell], measure: str, name: str
) -> dict[str, bytes]:
    columns, controls = _columns(matrix, these, measure)
    by = {(c.source, c.target): c.rate for c in these if c.measure == measure}
    rows = [net.name for net in matrix.targets]
    shares = [[by.get((column, row)) for column in columns] for row in rows]
    about = f"{measure}, in %\nrows: shown to; columns: made on"
    framed = matrix.in_common
    if framed:
        about += "\nframed: share a net (ensembles and members)"
    draw = partial(heat_map, columns, rows, shares, about=about, apart=controls, framed=framed)
    return light_and_dark(name, draw)


def _champions(
    matrix: Matrix, results: Results, encoding: str
) -> tuple[list[Picture], dict[str, bytes]]:
    """Of every source the first champions of the first seed."""
    assert matrix.config.evolution is not None
    seed = matrix.config.evolution.seeds[0]
    pictures: list[Picture] = []
    files: dict[str, bytes] = {}
    for net in matrix.sources:
        rows = results.with_pictures(matrix.campaigns[encoding, net.name, seed], ChampionRow)
        for row in rows[:MOST_PICTURES]:
            file = f"champions/{net.file}-{_file(encoding)}-{row.item:04d}.png"
            files[file] = row.png or b""
            label = net.labels[row.item]
            note = f" {percent(row.confidence)}, made on {net.name}"
            pictures.append(Picture(file, label, note))
    return pictures, files


def _note(matrix: Matrix, evolved: bool) -> str:
    if not evolved:
        return (
            "The share of all attacked pictures that a net gets wrong: its class is not the first"
            " answer (top-1), or not among the first five (top-5), as in Tables 1 and 2 of Tramèr"
            " et al. 2018. Pictures that were wrong before the attack count as well; the column"
            " clean has their share. Intervals are Wilson's for 95 %."
        )
    return (
        "The champions of MAP-Elites, one for each class and seed, were shown to every net. The"
        " cells have the share that reaches the given confidence, in the class that they were"
        " evolved for (its class) or in whatever class. The column noise has the same for"
        f" {matrix.config.noise} pictures of Gaussian noise, N(0, 1) clipped to 8 bits. Intervals"
        " are Wilson's for 95 %. Champions of one campaign descend from each other, so the true"
        " intervals are wider."
    )


def _lede(told: Mapping[str, Any]) -> list[str]:
    """A sentence a method and measure that has a figure."""
    lines = []
    for one in told["methods"]:
        if one["measure"] not in (aimed_at(SHOWN_BAR), TOP1) or one["other"] is None:
            continue
        evolved = one["measure"] == aimed_at(SHOWN_BAR)
        what = (
            f"share of the evolved pictures that reach a confidence of {SHOWN_BAR:g} in their class"
            if evolved
            else "share of the pictures that a net gets wrong"
        )
        parts = []
        if one["own"] is not None:
            parts.append(f"{_rate(one['own'])} on the net that they were made on")
        others = "other nets"
        if one["member"] is not None:
            parts.append(f"{_rate(one['member'])} on members of the ensemble")
            others = "nets that are no member of it"
        parts.append(f"{_rate(one['other'])} on {others}")
        if one["control"] is not None:
            parts.append(f"without an attack {_rate(one['control'])}")
        lines.append(f"{one['method']}, {what}: {', '.join(parts)}.")
        if one["unseen"]:
            shares = (f"{_rate(told)} from {name}" for name, told in one["unseen"].items())
            lines.append(f"On the nets that no picture was made on: {', '.join(shares)}.")
    return lines


def _rate(pooled: Mapping[str, Any]) -> str:
    return rate(pooled["rate"], pooled["n"])


def _facts(matrix: Matrix, manifest: Mapping[str, Any]) -> dict[str, str]:
    config = matrix.config
    facts = {
        "command": str(manifest.get("command") or ""),
        "run": str(manifest["run_id"]),
        "seed": str(config.seed),
    }
    if (e := config.evolution) is not None:
        facts["evolution"] = (
            f"{e.initial} random pictures, {e.generations} generations of {e.children}, seeds"
            f" {', '.join(map(str, e.seeds))}"
        )
    if matrix.crafted:
        facts["pictures attacked"] = f"{len(next(iter(matrix.crafted.values())).pictures):,}"
    return facts


def _file(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text.replace(">=", "from")).strip("-.")
