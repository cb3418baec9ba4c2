"""A reproduction in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evofool.config import yaml_lines
from evofool.experiments.engine import Plan
from evofool.experiments.reproduce.config import ReproduceConfig
from evofool.experiments.reproduce.outcomes import PlannedClaim, planned_minutes
from evofool.report.tables import Number, Table, Text
from evofool.store import Result
from evofool.text import bare

NOT_TESTED = "not tested"


def plan_lines(config: ReproduceConfig, rows: Sequence[PlannedClaim], plan: Plan) -> list[str]:
    """The config, each claim with its test, and what is missing."""
    lines = [*yaml_lines(config)]
    planned = planned_minutes(rows) if config.scale == "small" else [None] * len(rows)
    for row, minutes in zip(rows, planned, strict=True):
        state = f"not ready: {bare(row.missing)}" if row.missing else row.claim.statement
        lines += [f"# {row.claim.name}: {state}", f"#     {row.claim.rule}"]
        if minutes is not None and not row.missing:
            lines.append(f"#     planned: {minutes:g} min beyond the claims above")
    if config.scale == "small":
        ready = sum(m or 0 for row, m in zip(rows, planned, strict=True) if not row.missing)
        lines.append(f"# planned on two CPU cores: {ready:g} min")
    images = sum(planned.work.images for planned in plan)
    return [*lines, f"# works: {len(plan)}; images, about: {images:,}"]


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """Claims, published and measured, with the verdicts, and where to look."""
    rows = [
        [
            claim["name"],
            claim["published"],
            claim["measured"] or NOT_TESTED,
            claim["verdict"] or bare(claim["missing"]),
            claim["minutes"],
            claim["planned_minutes"],
        ]
        for claim in result.summary["claims"]
    ]
    columns = [
        Text("claim"),
        Text("published"),
        Text("measured"),
        Text("verdict"),
        Number("min", ".1f"),
        Number("planned", ".0f"),
    ]
    return [
        *Table(columns, rows).plain(),
        f"look at {result.path / 'report' / 'index.html'}",
        f"        {result.path / 'reproduce.csv'}",
    ]
