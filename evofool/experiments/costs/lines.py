"""A comparison of cost functions in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.config import yaml_lines
from evofool.report.tables import Cell, Column, Confidence, Count, Estimate, Rate, Table, Text
from evofool.store import Result
from evofool.text import bare

if TYPE_CHECKING:
    from evofool.experiments.costs.study import CostsPlan


def plan_lines(plan: CostsPlan) -> list[str]:
    """The resolved config, then what there is to do and what stands in the way."""
    ready = "ready" if not plan.missing else "not ready"
    return [
        *yaml_lines(plan.config),
        *(f"# not ready: {bare(missing)}" for missing in plan.missing),
        f"# nets to be trained: {plan.trainings}; images to be evolved: {plan.evolved:,}; {ready}",
    ]


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """The measures, loss beside loss, and where to look."""
    nets = result.summary["nets"]
    measures: list[list[Cell]] = []
    most = 0
    for measure in nets[0]["measures"]:
        for net in nets:
            m = net["measures"][measure]
            share = Estimate(m["rate"], m["low"], m["high"])
            most = max(most, m["n"])
            measures.append([measure, net["loss"], share, m["n"]])
    rate = Rate("rate", bounds=("low", "high"), of=most)
    lines = [*Table([Text("measure"), Text("loss"), rate, Count("answers")], measures).plain()]
    bars = list(nets[0]["evolution"][0]["share_at"]) if nets[0]["evolution"] else []
    columns: list[Column] = [Text("evolution"), Text("loss")]
    columns.append(Confidence("median", bounds=("low", "high")))
    columns += [
        Rate(f"cells >= {bar}", of=nets[0]["evolution"][0]["share_at"][bar]["n"]) for bar in bars
    ]
    columns += [Count("images"), Count("seeds")]
    evolved: list[list[Cell]] = []
    for net in nets:
        for e in net["evolution"]:
            median = Estimate(e["median_confidence"], e["low"], e["high"])
            shares = [e["share_at"][bar]["rate"] for bar in bars]
            seeds = len(e["seeds"])
            evolved.append([e["encoding"], net["loss"], median, *shares, e["evaluations"], seeds])
    if evolved:
        lines += ["", *Table(columns, evolved).plain()]
    return [
        *lines,
        f"look at {result.path / 'report' / 'index.html'}",
        f"        {result.path / 'costs.csv'}",
    ]
