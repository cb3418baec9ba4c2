"""A reproduction in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evofool.config import yaml_lines
from evofool.experiments.engine import Plan
from evofool.experiments.reproduce.config import ReproduceConfig
from evofool.experiments.reproduce.outcomes import PlannedClaim
from evofool.report.tables import Table, Text
from evofool.store import Result
from evofool.text import bare

NOT_TESTED = "not tested"


def plan_lines(config: ReproduceConfig, rows: Sequence[PlannedClaim], plan: Plan) -> list[str]:
    """The config, each claim with its test, and what is missing."""
    lines = [*yaml_lines(config)]
    for row in rows:
        state = f"not ready: {bare(row.missing)}" if row.missing else row.claim.statement
        lines += [f"# {row.claim.name}: {state}", f"#     {row.claim.rule}"]
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
        ]
        for claim in result.summary["claims"]
    ]
    columns = [Text("claim"), Text("published"), Text("measured"), Text("verdict")]
    return [
        *Table(columns, rows).plain(),
        f"look at {result.path / 'report' / 'index.html'}",
        f"        {result.path / 'reproduce.csv'}",
    ]
