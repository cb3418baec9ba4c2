"""A reproduction in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.config import yaml_lines
from evofool.report.tables import Table, Text
from evofool.store import Result
from evofool.text import bare

if TYPE_CHECKING:
    from evofool.experiments.reproduce.study import ReproduceStudy

NOT_TESTED = "not tested"


def plan_lines(study: ReproduceStudy) -> list[str]:
    """The config, each claim with its test, and what is missing."""
    lines = [*yaml_lines(study.loaded.config)]
    for row in study.rows:
        state = f"not ready: {bare(row.missing)}" if row.missing else row.claim.statement
        lines += [f"# {row.claim.name}: {state}", f"#     {row.claim.rule}"]
    images = sum(planned.work.images for planned in study.plan)
    return [*lines, f"# works: {len(study.plan)}; images, about: {images:,}"]


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
