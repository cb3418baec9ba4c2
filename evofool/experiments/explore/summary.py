"""What came out of a closer look: its tables, and the content of ``summary.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evofool.attacks.runs.statistics import share, wilson
from evofool.experiments.engine import Results
from evofool.experiments.explore.decision import CornerRow, LineRow
from evofool.experiments.explore.embedding import PlaceRow, VarianceRow
from evofool.experiments.explore.looks import Looks
from evofool.experiments.explore.repetition import WindowRow
from evofool.experiments.explore.switching import ClassSwitches, GenerationSwitches
from evofool.experiments.works.targeted import TargetedRow
from evofool.report.tables import (
    Cell,
    Column,
    Confidence,
    Count,
    Estimate,
    Number,
    Rate,
    Table,
    Text,
)
from evofool.text import rate

KEEPS = 0.9
"""Share of its confidence from which a champion counts as keeping it."""
_BOUNDS = ("low", "high")


def tables(looks: Looks, results: Results) -> dict[str, Table]:
    """Every number in CSV files, by name."""
    made: dict[str, Table] = {}
    if looks.repetition:
        made["repetition.csv"] = repetition_table(looks, results)
    if looks.decision_maps:
        made["decision-map.csv"] = _points(looks, results)
        made["decision-corners.csv"] = _corners(looks, results)
    if looks.embedding is not None:
        made["embedding.csv"] = _places(looks, results)
    if looks.source_target is not None:
        made["source-target.csv"] = _pairs(looks, results)
    if looks.goal_switching:
        made["goal-switching.csv"] = switching_table(looks, results)
        made["goal-switching-generations.csv"] = _generations(looks, results)
    return made


def summary(looks: Looks, results: Results, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``summary.json``; a part that was not asked for is None."""
    return {
        "run_id": manifest["run_id"],
        "repetition": _repetition(looks, results) if looks.repetition else None,
        "decision_map": _decision(looks, results) if looks.decision_maps else None,
        "embedding": _embedding(looks, results),
        "source_target": _source_target(looks, results),
        "goal_switching": _switching(looks, results) if looks.goal_switching else None,
        "notes": list(looks.notes),
    }


def sentences(told: Mapping[str, Any]) -> list[str]:
    """What came out, a sentence a part, from the content of ``summary.json``."""
    lines = []
    windows = told["repetition"] or ()
    for encoding in dict.fromkeys(one["encoding"] for one in windows):
        these = [one for one in windows if one["encoding"] == encoding]
        shares = ", ".join(
            f"{rate(one['keeps']['rate'], one['n'])} if a window of {rate(one['area'], 100)} of the"
            " area is left"
            for one in these
        )
        lines.append(
            f"{encoding}: of {these[0]['n']} champions, so many keep {rate(KEEPS, 100)} of their"
            f" confidence or more: {shares}."
        )
    for one in told["decision_map"] or ():
        adversarial = one["corners"]["adversarial"]["predicted"]
        what = "lies in" if adversarial == one["class_index"] else "lies outside"
        lines.append(
            f"{one['encoding']}, class {one['class_index']}: on the plane through a natural, an"
            f" adversarial and an evolved picture, the class covers"
            f" {rate(one['own_share'], 100)}; the adversarial picture {what} it."
        )
    if (pairs := told["source_target"]) is not None:
        lines.append(
            f"From each class to every other: {rate(pairs['success']['rate'], pairs['pairs'])} of"
            f" {pairs['pairs']} attacks reach their target, and change"
            f" {rate(pairs['changed'])} of the channel values on average."
        )
    lines += [
        f"{one['encoding']}: {rate(one['rate'], one['champions'])} of {one['champions']:,} new"
        " champions descend only from champions of other classes."
        for one in told["goal_switching"] or ()
        if one["rate"] is not None
    ]
    return lines


def keeps(row: WindowRow) -> bool:
    """Whether a champion keeps `KEEPS` of its confidence or more with one window alone."""
    return row.confidence >= KEEPS * row.whole


def repetition_table(looks: Looks, results: Results) -> Table:
    """One row a champion and window."""
    columns: list[Column] = [
        Text("encoding"), Count("seed"), Count("class", name="class_index"), Text("label"),
        Count("window", name="side"), Count("top"), Count("left"), Rate("area"),
        Confidence("whole"), Confidence("confidence"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, seed, r.class_index, looks.labels[r.class_index], r.side, r.top, r.left, r.area,
         r.whole, r.confidence]
        for (name, seed), work in looks.repetition.items()
        for r in results.rows(work, WindowRow)
    ]  # fmt: skip
    return Table(columns, rows)


def switching_table(looks: Looks, results: Results, only: Sequence[str] = ()) -> Table:
    """One row an encoding and class, seeds pooled; `only`: of these encodings."""
    rows: list[list[Cell]] = []
    most = 0
    for name in only or looks.config.evolution.named:
        pooled = np.zeros((len(looks.labels), 2), np.int64)
        for (encoding, _), work in looks.goal_switching.items():
            if encoding == name:
                for row in results.rows(work, ClassSwitches):
                    pooled[row.item] += (row.champions, row.switched)
        for c, (n, hits) in enumerate(pooled.tolist()):
            rows.append([name, c, looks.labels[c], n, hits, _estimate(hits, n)])
            most = max(most, n)
    columns: list[Column] = [
        Text("encoding"), Count("class", name="class_index"), Text("label"),
        Count("new champions", name="champions"), Count("switched"),
        Rate("share", bounds=_BOUNDS, of=most),
    ]  # fmt: skip
    return Table(columns, rows)


def generation_counts(looks: Looks, results: Results, encoding: str) -> np.ndarray[Any, Any]:
    """New champions and switched ones of each generation from 1 on, seeds pooled, int64 N x 2."""
    generations = looks.config.evolution.generations
    pooled = np.zeros((generations, 2), np.int64)
    for (name, _), work in looks.goal_switching.items():
        if name == encoding:
            for row in results.rows(work, GenerationSwitches):
                pooled[row.item - 1] += (row.champions, row.switched)
    return pooled


def _points(looks: Looks, results: Results) -> Table:
    columns: list[Column] = [
        Text("encoding"), Count("map", name="class_index"), Number("x"), Number("y"),
        Count("predicted"), Confidence("confidence"), Confidence("own"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, c, x, r.y, predicted, sure, own]
        for (name, c), work in looks.decision_maps.items()
        for r in results.rows(work, LineRow)
        for x, predicted, sure, own in zip(r.x, r.predicted, r.confidence, r.own, strict=True)
    ]
    return Table(columns, rows)


def _corners(looks: Looks, results: Results) -> Table:
    columns: list[Column] = [
        Text("encoding"), Count("map", name="class_index"), Text("picture"), Number("distance"),
        Count("predicted"), Confidence("confidence"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, c, r.name, r.distance, r.predicted, r.confidence]
        for (name, c), work in looks.decision_maps.items()
        for r in results.rows(work, CornerRow)
    ]
    return Table(columns, rows)


def _places(looks: Looks, results: Results) -> Table:
    assert looks.embedding is not None
    names = ["natural", *looks.config.evolution.named]
    columns: list[Column] = [
        Text("group"), Count("class", name="class_index"), Number("x"), Number("y"),
        Count("nearest"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [names[r.campaign + 1], r.class_index, r.x, r.y, r.nearest]
        for r in results.rows(looks.embedding, PlaceRow)
    ]
    return Table(columns, rows)


def _pairs(looks: Looks, results: Results) -> Table:
    assert looks.source_target is not None
    columns: list[Column] = [
        Count("source"), Count("target"), Count("success"), Rate("changed"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [r.source, r.target, int(r.success), r.changed]
        for r in results.rows(looks.source_target, TargetedRow)
    ]
    return Table(columns, rows)


def _generations(looks: Looks, results: Results) -> Table:
    columns: list[Column] = [
        Text("encoding"), Count("seed"), Count("generation"),
        Count("new champions", name="champions"), Count("switched"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, seed, r.item, r.champions, r.switched]
        for (name, seed), work in looks.goal_switching.items()
        for r in results.rows(work, GenerationSwitches)
    ]
    return Table(columns, rows)


def _repetition(looks: Looks, results: Results) -> list[dict[str, Any]]:
    """A line an encoding and window, seeds pooled."""
    lines = []
    for name in looks.config.evolution.named:
        rows = [
            row
            for (encoding, _), work in looks.repetition.items()
            if encoding == name
            for row in results.rows(work, WindowRow)
        ]
        for side in dict.fromkeys(row.side for row in rows):
            these = [row for row in rows if row.side == side]
            lines.append(
                {
                    "encoding": name,
                    "side": side,
                    "area": these[0].area,
                    "n": len(these),
                    "median_whole": float(np.median([row.whole for row in these])),
                    "median_window": float(np.median([row.confidence for row in these])),
                    "keeps": share(sum(map(keeps, these)), len(these)),
                }
            )
    return lines


def _decision(looks: Looks, results: Results) -> list[dict[str, Any]]:
    maps = []
    for (name, c), work in looks.decision_maps.items():
        corners = results.rows(work, CornerRow)
        lines = results.rows(work, LineRow)
        if not corners:
            continue
        own = np.array([line.predicted for line in lines]) == c
        maps.append(
            {
                "encoding": name,
                "class_index": c,
                "corners": {
                    row.name: {
                        "predicted": row.predicted,
                        "confidence": row.confidence,
                        "distance": row.distance,
                    }
                    for row in corners
                },
                "own_share": float(own.mean()),
                "classes": len({k for line in lines for k in line.predicted}),
            }
        )
    return maps


def _embedding(looks: Looks, results: Results) -> dict[str, Any] | None:
    if looks.embedding is None:
        return None
    rows = results.rows(looks.embedding, PlaceRow)
    variance = results.only(looks.embedding, VarianceRow)
    groups = {}
    for k, name in enumerate(("natural", *looks.config.evolution.named)):
        these = [row for row in rows if row.campaign == k - 1]
        hits = sum(row.nearest == row.class_index for row in these)
        groups[name] = {"n": len(these), **share(hits, len(these))}
    return {"features": variance.features, "variance": variance.shares, "nearest_own": groups}


def _source_target(looks: Looks, results: Results) -> dict[str, Any] | None:
    if looks.source_target is None:
        return None
    rows = results.rows(looks.source_target, TargetedRow)
    return {
        "pairs": len(rows),
        "success": share(sum(row.success for row in rows), len(rows)),
        "changed": float(np.mean([row.changed for row in rows])),
    }


def _switching(looks: Looks, results: Results) -> list[dict[str, Any]]:
    lines = []
    for name in looks.config.evolution.named:
        n, hits = generation_counts(looks, results, name).sum(axis=0).tolist()
        lines.append({"encoding": name, "champions": n, "switched": hits, **share(hits, n)})
    return lines


def _estimate(hits: int, n: int) -> Estimate | None:
    return Estimate(hits / n, *wilson(hits, n)) if n else None
