"""A retraining loop in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.config import yaml_lines
from evofool.report.tables import Cell, Column, Confidence, Count, Estimate, Rate, Table, Text
from evofool.store import Result
from evofool.text import bare, counted

if TYPE_CHECKING:
    from evofool.experiments.retrain.setup import RetrainPlan


def plan_lines(plan: RetrainPlan) -> list[str]:
    """The resolved config, then what there is to do and what stands in the way."""
    work = (
        f"nets to be retrained: {plan.trainings}; runs of evolution: {plan.evolutions}, of"
        f" {counted(plan.evolved, 'image')} in all"
    )
    lines = [*yaml_lines(plan.config), *(f"# not ready: {bare(what)}" for what in plan.missing)]
    if plan.classifier is None:
        return [*lines, f"# {work}"]
    return [*lines, *plan.classifier.lines(work, ready=not plan.missing)]


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """A line a net, then where to look."""
    s = result.summary
    shares = {"clean_error": "clean errors", "recall_old": "recall, old", "ascent": "ascent"}
    columns: list[Column] = [Count("round"), Text("trained on")]
    columns += [Rate(title) for title in shares.values()]
    for e in s["nets"][0]["evolution"]:
        columns.append(Confidence(f"{e['encoding']}: median", bounds=("low", "high")))
        columns.append(Rate("recall of last"))
    rows: list[list[Cell]] = []
    for net in s["nets"]:
        row: list[Cell] = [net["round"], net["trained_on"]]
        row += [net[name] and net[name]["median"] for name in shares]
        for e in net["evolution"]:
            last = e["recall_last"]
            row.append(Estimate(e["median_confidence"], e["low"], e["high"]))
            row.append(last and last["median"])
        rows.append(row)
    return [
        f"{bare(s['base']['name'])}, {counted(len(s['seeds']), 'seed')}: medians over them",
        *Table(columns, rows).plain(),
        f"look at {result.path / 'report' / 'index.html'}",
        f"        {result.path / 'retrain.csv'}",
    ]
