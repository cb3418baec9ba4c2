"""``report/`` of a reproduction: published beside measured, and a verdict on every claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from evofool.experiments.engine import Results
from evofool.experiments.engine.work import Row
from evofool.experiments.pages import PAGES
from evofool.experiments.reproduce.claims import MARKS
from evofool.experiments.reproduce.outcomes import Outcome, planned_minutes
from evofool.experiments.reproduce.setting import Setting
from evofool.experiments.retrain.shown import AscentRow
from evofool.experiments.works.campaign import ChampionRow
from evofool.experiments.works.targeted import TargetedRow
from evofool.report.columns import Cell
from evofool.report.output import Report
from evofool.report.tables import Count, Number, Table, Text
from evofool.text import probability

MOST_PICTURES = 10
"""Shown of a claim."""
LABELS: Mapping[type[Row], Callable[[Any], str]] = {
    ChampionRow: lambda row: f"{row.item}: {probability(row.confidence)}",
    TargetedRow: lambda row: f"{row.source} to {row.target}",
    AscentRow: lambda row: f"to {row.target}",
}
"""Rows whose pictures are worth a look, and what is written below them."""
TONES: Mapping[str, str] = {"holds": "green", "fails": "red", "undecided": "amber", "": ""}


def report(
    outcomes: Sequence[Outcome],
    setting: Setting,
    scale: str,
    results: Results,
    manifest: Mapping[str, Any],
) -> Report:
    """The page, ``reproduce.csv`` and the summary."""
    planned = planned_minutes([outcome.row for outcome in outcomes])
    summary = {
        "status": "finished",
        "run_id": manifest["run_id"],
        "scale": scale,
        "claims": [
            _plain(outcome, minutes if scale == "small" else None)
            for outcome, minutes in zip(outcomes, planned, strict=True)
        ],
        "seconds": round(results.folder.seconds(), 3),
    }
    counts = Counter(o.measured.verdict for o in outcomes if o.measured is not None)
    files: dict[str, bytes] = {}
    plots = {o.row.claim.name: _plots(o, setting, results, files) for o in outcomes}
    pictures = {o.row.claim.name: _pictures(o, setting, results, files) for o in outcomes}
    page = PAGES.render(
        "reproduce.html",
        title="What holds of the literature?",
        manifest=manifest,
        summary=summary,
        took=results.took(),
        counts=counts,
        marks=MARKS,
        tones=TONES,
        pictures=pictures,
        plots=plots,
    )
    return Report(page, files, {"reproduce.csv": table(summary["claims"], outcomes)}, summary)


def table(claims: Sequence[Mapping[str, Any]], outcomes: Sequence[Outcome]) -> Table:
    """``reproduce.csv``: a line a claim, as the summary has it, with its whole cost."""
    columns = [
        Text("claim"), Text("source"), Text("published"), Text("mark"), Text("statement"),
        Text("rule"), Text("measured"), Number("value"), Number("low"), Number("high"),
        Number("p"), Count("n"), Count("seeds"), Text("verdict"), Text("missing"),
        Count("queries"), Count("forward_images"), Count("backward_images"), Number("seconds"),
        Number("minutes"), Number("planned_minutes"),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for plain, outcome in zip(claims, outcomes, strict=True):
        keys = ("name", "source", "published", "mark", "statement", "rule", "measured", "value",
                "low", "high", "p", "n", "seeds", "verdict", "missing")  # fmt: skip
        cost = outcome.cost
        rows.append(
            [plain[key] for key in keys]
            + [cost.queries, cost.forward_images, cost.backward_images, cost.seconds]
            + [plain["minutes"], plain["planned_minutes"]]
        )
    return Table(columns, rows)


def _plots(
    outcome: Outcome, setting: Setting, results: Results, files: dict[str, bytes]
) -> dict[str, str]:
    """The names of a claim's plots by what they show; they are added to `files`."""
    claim = outcome.row.claim
    if not claim.draw or outcome.measured is None:
        return {}
    from evofool.report.figures import light_and_dark  # which imports matplotlib

    names = {}
    for number, (about, draw) in enumerate(claim.draw.items()):
        names[about] = f"curves-{claim.name}-{number}"
        files |= light_and_dark(names[about], partial(draw, setting, results))
    return names


def _pictures(
    outcome: Outcome, setting: Setting, results: Results, files: dict[str, bytes]
) -> list[dict[str, str]]:
    """Some pictures of a work of a claim, added to `files`."""
    pictured = outcome.row.claim.pictured
    works = [planned.work for planned in outcome.row.works]
    if works and pictured is not None:
        works = [pictured(setting)]
    for work in works:
        for kind in work.rows:
            if kind not in LABELS:
                continue
            rows = results.rows(work, kind)
            shown = []
            for row in rows[:: max(1, len(rows) // MOST_PICTURES)][:MOST_PICTURES]:
                name = f"pictures/{work.address[:12]}-{row.item:04d}.png"
                files[name] = results.picture(work, kind, row.item)
                shown.append({"file": name, "label": LABELS[kind](row)})
            return shown
    return []


def _plain(outcome: Outcome, planned: float | None) -> dict[str, Any]:
    """An outcome as JSON values, and its planned minutes."""
    claim, measured = outcome.row.claim, outcome.measured
    return {
        "name": claim.name,
        "source": claim.source,
        "title": claim.title,
        "published": claim.published.text,
        "mark": claim.published.mark,
        "statement": claim.statement,
        "rule": claim.rule,
        "here": claim.here,
        "missing": outcome.row.missing,
        "measured": "" if measured is None else measured.figure,
        "value": None if measured is None else measured.value,
        "low": None if measured is None else measured.low,
        "high": None if measured is None else measured.high,
        "p": None if measured is None else measured.p,
        "n": None if measured is None else measured.n,
        "seeds": None if measured is None else measured.seeds,
        "verdict": "" if measured is None else measured.verdict,
        "images": outcome.cost.forward_equivalents,
        "seconds": round(outcome.cost.seconds, 1),
        "minutes": round(outcome.own_seconds / 60, 2),
        "planned_minutes": planned,
        "table": [] if measured is None else [list(row) for row in measured.table],
    }
