"""``report/`` of a closer look: a section for everything that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from evofool.experiments.engine import Results
from evofool.experiments.explore.decision import CORNERS, EVOLVED, CornerRow, LineRow
from evofool.experiments.explore.embedding import PlaceRow, VarianceRow
from evofool.experiments.explore.figures import (
    GridCell,
    Placed,
    decision_figure,
    embedding_figure,
    picture_grid,
    switching_figure,
)
from evofool.experiments.explore.looks import Looks
from evofool.experiments.explore.repetition import WindowRow
from evofool.experiments.explore.summary import (
    generation_counts,
    sentences,
    summary,
    switching_table,
    tables,
)
from evofool.experiments.works.campaign import ChampionRow
from evofool.experiments.works.targeted import TargetedRow
from evofool.images import decode_png
from evofool.report.figures import light_and_dark
from evofool.report.output import Report
from evofool.report.sections import Figure, Section, sections_page
from evofool.report.tables import Table
from evofool.text import probability, rate

MOST_CHAMPIONS = 10
"""Champions whose windows the page shows, of the first seed of each encoding."""
MOST_CLASSES = 50
"""Classes up to which the page has a line for each; all are in the CSV file."""
Files = dict[str, bytes]


def report(looks: Looks, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page with its figures, the tables and the summary."""
    told = summary(looks, results, manifest)
    csvs = tables(looks, results)
    files: Files = {}
    parts = (_repetition, _decision, _embedding, _source_target, _switching)
    sections = [part(looks, results, told, files) for part in parts]
    page = sections_page(
        "A closer look at what was evolved",
        [section for section in sections if section is not None],
        subject="explore",
        lede=[*sentences(told), *looks.notes],
        facts={**_facts(looks, manifest), "took": results.took()},
        files=(*csvs, "summary.json", "config.yaml"),
    )
    return Report(page, files, csvs, told)


def _repetition(
    looks: Looks, results: Results, told: Mapping[str, Any], files: Files
) -> Section | None:
    if not looks.repetition:
        return None
    figures = []
    seed = looks.config.evolution.seeds[0]
    for encoding in looks.config.evolution.named:
        rows = results.with_pictures(looks.repetition[encoding, seed], WindowRow)
        champions = {
            row.item: row
            for row in results.with_pictures(looks.campaigns[encoding, seed], ChampionRow)
        }
        if not rows:
            continue
        sides = list(dict.fromkeys(row.side for row in rows))
        area = {row.side: row.area for row in rows}
        shown = list(champions)[:MOST_CHAMPIONS]
        cells = [
            [
                GridCell(decode_png(champions[c].png or b""), probability(champions[c].confidence)),
                *(
                    GridCell(decode_png(row.png or b""), probability(row.confidence))
                    for row in rows
                    if row.class_index == c
                ),
            ]
            for c in shown
        ]
        columns = ["whole", *(f"{rate(area[side], 100)} kept" for side in sides)]
        draw = partial(picture_grid, cells, [looks.labels[c] for c in shown], columns)
        name = f"repetition-{_file(encoding)}"
        files |= light_and_dark(name, draw)
        figures.append(
            Figure(name, f"{encoding}: champions and their best windows, with the confidences")
        )
    note = (
        "Each champion, and what is left of it when everything outside one square window is"
        " replaced by the picture's mean colour. Of all positions of the window, the one is shown"
        " that keeps the class likeliest. Below each picture stands the net's confidence in the"
        " class. If a small window is enough, the rest of the picture only repeats what the net"
        " needs, or does not matter to it."
    )
    return Section("How little of a champion is enough?", note, figures, abreast=True)


def _decision(
    looks: Looks, results: Results, told: Mapping[str, Any], files: Files
) -> Section | None:
    if not looks.decision_maps:
        return None
    figures = []
    shown = CORNERS if looks.config.pictures else (EVOLVED,)
    for (encoding, c), work in looks.decision_maps.items():
        lines = results.rows(work, LineRow)
        if not lines:
            continue
        corners = results.with_pictures(work, CornerRow)
        labels = looks.named
        draw = partial(decision_figure, lines, corners, labels, c, encoding, shown)
        name = f"decision-map-{_file(encoding)}-{c:04d}"
        files |= light_and_dark(name, draw)
        about = f"{encoding}, {labels[c]}: the likeliest class over the plane of three pictures"
        figures.append(Figure(name, about))
    note = (
        "The plane through a natural picture (N), the result of an attack on it (A), and the"
        " champion of its class (E). A point's colour is the class that the net finds"
        " likeliest; it is paler where the net is less sure. The axes are scaled so that A and E"
        " lie equally far from N; the true distances stand beside them (Euclidean, of channel"
        " values on [0, 1]). Within the triangle every point is a picture; outside it, values"
        " are clipped to [0, 1]."
    )
    return Section("Where do the pictures lie?", note, figures, abreast=True)


def _embedding(
    looks: Looks, results: Results, told: Mapping[str, Any], files: Files
) -> Section | None:
    if looks.embedding is None:
        return None
    encodings = list(looks.config.evolution.named)
    pngs = {
        (k, row.item): row.png or b""
        for k, campaign in enumerate(looks.embedding.campaigns)
        for row in results.with_pictures(campaign, ChampionRow)
    }
    placed = []
    for row in results.rows(looks.embedding, PlaceRow):
        png = pngs.get((row.campaign, row.class_index))
        picture = None if png is None else decode_png(png)
        placed.append(Placed(row.x, row.y, row.class_index, row.campaign + 1, picture))
    variance = results.only(looks.embedding, VarianceRow)
    labels = looks.named
    draw = partial(embedding_figure, placed, encodings, labels, variance.shares)
    files |= light_and_dark("embedding", draw)
    groups = told["embedding"]["nearest_own"]
    own = "; ".join(
        f"{name} {group['successes']} of {group['n']}" for name, group in groups.items()
    )
    note = (
        f"Natural pictures and champions by the {variance.features:,} features that go into the"
        " net's last layer, drawn in their first two principal components. So many have a nearest"
        f" natural picture, by all features, of their own class: {own}."
    )
    about = "Natural pictures and champions by two principal components of the net's features"
    return Section("Champions beside natural pictures", note, [Figure("embedding", about)])


def _source_target(
    looks: Looks, results: Results, told: Mapping[str, Any], files: Files
) -> Section | None:
    if looks.source_target is None:
        return None
    work = looks.source_target
    rows = {(r.source, r.target): r for r in results.with_pictures(work, TargetedRow)}
    visible = looks.config.pictures
    cells = []
    for source in range(work.classes):
        line = []
        for target in range(work.classes):
            if source == target:
                line.append(GridCell(work.pictures.images[source] if visible else None, own=True))
                continue
            row = rows[source, target]
            picture = decode_png(row.png or b"") if visible else None
            line.append(GridCell(picture, f"{100 * row.changed:.1f}", marked=not row.success))
        cells.append(line)
    names = looks.named[: work.classes]
    draw = partial(picture_grid, cells, names, names, size=0.62, fontsize=13)
    files |= light_and_dark("source-target", draw)
    found, n = told["source_target"]["success"], len(rows)
    note = (
        f"{work.attack.name} turns the picture of each row into the class of each column. The"
        " framed diagonal is the picture itself; a red frame marks a pair that failed. The numbers"
        " are the share of channel values that were changed, in per cent; on average it is"
        f" {100 * told['source_target']['changed']:.2f}. Of {n} pairs, {rate(found['rate'], n)}"
        f" succeed (95 % interval {rate(found['low'], n)} to {rate(found['high'], n)})."
    )
    about = "Sources in rows, targets in columns: the result of the attack on each picture"
    return Section("From each class to every other", note, [Figure("source-target", about)])


def _switching(
    looks: Looks, results: Results, told: Mapping[str, Any], files: Files
) -> Section | None:
    if not looks.goal_switching or looks.config.goal_switching is None:
        return None
    bins = looks.config.goal_switching.bins
    curves = {}
    for encoding in looks.config.evolution.named:
        pooled = generation_counts(looks, results, encoding)
        points = []
        for part in np.array_split(np.arange(len(pooled)), min(bins, len(pooled))):
            n, hits = pooled[part].sum(axis=0).tolist()
            if n:
                points.append((float(part.mean() + 1), hits / n))
        x, y = np.array(points, np.float64).reshape(-1, 2).T
        curves[encoding] = (x, y)
    files |= light_and_dark("goal-switching", partial(switching_figure, curves))
    shown: list[Table] = []
    if len(looks.labels) <= MOST_CLASSES:
        for encoding in looks.config.evolution.named:
            table = switching_table(looks, results, only=(encoding,))
            columns = table.select("label", "champions", "share")
            shown.append(Table(columns.columns, columns.rows, caption=encoding))
    note = (
        "The share of the new champions of a class whose parents were all champions of other"
        " classes. The random pictures at the start have no parents and do not count. A picture"
        " that wins several classes counts in each. Nguyen et al. report about 17.9 %"
        " for their innovation engine (unverified: from memory, not read again), on other nets"
        f" and classes. With parents drawn at random over {len(looks.labels)} classes, most come"
        " from another class, so what matters is how far the share lies below that. Seeds are"
        " pooled; the intervals are Wilson's, and events of one campaign are not independent."
    )
    about = (
        "Share of new champions that descend only from champions of other classes, by generation"
    )
    return Section(
        "Where do new champions come from?", note, [Figure("goal-switching", about)], shown
    )


def _facts(looks: Looks, manifest: Mapping[str, Any]) -> dict[str, str]:
    evolution = looks.config.evolution
    return {
        "command": str(manifest.get("command") or ""),
        "net": str(manifest["classifier"]["name"]),
        "evolution": (
            f"{evolution.initial} random pictures, {evolution.generations} generations of"
            f" {evolution.children}, seeds {', '.join(map(str, evolution.seeds))}"
        ),
        "run": str(manifest["run_id"]),
        "seed": str(looks.config.seed),
    }


def _file(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")
