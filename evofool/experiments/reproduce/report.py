"""``report/`` of a reproduction: published beside measured, and a verdict on every claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evofool.experiments.engine import Results
from evofool.experiments.engine.work import Row
from evofool.experiments.pages import PAGES
from evofool.experiments.reproduce.claims import MARKS
from evofool.experiments.reproduce.outcomes import Outcome
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
    outcomes: Sequence[Outcome], scale: str, results: Results, manifest: Mapping[str, Any]
) -> Report:
    """The page, ``reproduce.csv`` and the summary."""
    summary = {
        "status": "finished",
        "run_id": manifest["run_id"],
        "scale": scale,
        "claims": [_plain(outcome) for outcome in outcomes],
        "seconds": round(results.folder.seconds(), 3),
    }
    counts = Counter(o.measured.verdict for o in outcomes if o.measured is not None)
    files: dict[str, bytes] = {}
    pictures = {o.row.claim.name: _pictures(o, results, files) for o in outcomes}
    page = PAGES.render(
        "reproduce.html",
        title="What holds of the literature?",
        manifest=manifest,
        summary=summary,
        counts=counts,
        marks=MARKS,
        tones=TONES,
        pictures=pictures,
    )
    return Report(page, files, {"reproduce.csv": table(outcomes)}, summary)


def table(outcomes: Sequence[Outcome]) -> Table:
    """``reproduce.csv``: a line a claim."""
    columns = [
        Text("claim"), Text("source"), Text("published"), Text("mark"), Text("statement"),
        Text("rule"), Text("measured"), Number("value"), Number("low"), Number("high"),
        Number("p"), Count("n"), Count("seeds"), Text("verdict"), Text("missing"),
        Count("queries"), Count("forward_images"), Count("backward_images"), Number("seconds"),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for outcome in outcomes:
        plain = _plain(outcome)
        keys = ("name", "source", "published", "mark", "statement", "rule", "measured", "value",
                "low", "high", "p", "n", "seeds", "verdict", "missing")  # fmt: skip
        cost = outcome.cost
        rows.append(
            [plain[key] for key in keys]
            + [cost.queries, cost.forward_images, cost.backward_images, cost.seconds]
        )
    return Table(columns, rows)


def _pictures(outcome: Outcome, results: Results, files: dict[str, bytes]) -> list[dict[str, str]]:
    """Some pictures of the first work of a claim that has any, added to `files`."""
    for planned in outcome.row.works:
        for kind in planned.work.rows:
            if kind not in LABELS:
                continue
            rows = results.rows(planned.work, kind)
            shown = []
            for row in rows[:: max(1, len(rows) // MOST_PICTURES)][:MOST_PICTURES]:
                name = f"pictures/{planned.work.address[:12]}-{row.item:04d}.png"
                files[name] = results.picture(planned.work, kind, row.item)
                shown.append({"file": name, "label": LABELS[kind](row)})
            return shown
    return []


def _plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values."""
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
    }
