"""A comparison in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evofool.config import yaml_lines
from evofool.experiments.compare.study import ComparePlan, CompareStudy
from evofool.report.tables import Confidence, Count, Number, Rate, Table, Text
from evofool.store import Result
from evofool.text import bare, counted


def plan_lines(plan: ComparePlan | CompareStudy) -> list[str]:
    """The resolved config, then what there is to do and what stands in the way."""
    if not isinstance(plan, ComparePlan):
        return _of_runs(plan)
    runs = counted(plan.searches, "run of a method", "runs of methods")
    return [
        *yaml_lines(plan.config),
        *(f"# missing: {bare(missing)}" for missing in plan.missing),
        f"# {runs}, {plan.config.budget:,} forward-equivalents each, {plan.images:,} in all",
    ]


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """What each method reached, what was left out, and where to look."""
    methods = result.summary["methods"]
    most = max((m["classes"] for m in methods), default=0)
    table = Table(
        [Text("net"), Text("method"), Text("sees"), Confidence("median"),
         Rate("classes >= 0.99", of=most), Count("half of them after"),
         Number("spent", form=",.0f")],
        [[m["net"], m["method"], m["sees"], m["median_confidence"], m["share_0.99"], m["half_at"],
          m["spent"]] for m in methods],
    )  # fmt: skip
    left_out = [
        f"left out: {bare(each['method'])} on {bare(each['victim'])}: {bare(each['reason'])}"
        for each in result.summary["left_out"]
    ]
    return [
        *table.plain(),
        *left_out,
        f"look at {result.path / 'report' / 'index.html'}",
        f"        {result.path / 'compare.csv'}",
    ]


def _of_runs(study: CompareStudy) -> list[str]:
    """What run folders hold that would be compared."""
    compared = study.compared
    return [
        *yaml_lines(study.loaded.config),
        *(
            f"# {bare(arm.victim)}: {bare(arm.title)}, {counted(len(arm.runs), 'seed')}"
            for arm in compared.arms
        ),
        *(f"# left out: {bare(one.method)}: {bare(one.reason)}" for one in compared.left_out),
        *(f"# {bare(note)}" for note in compared.notes),
    ]
