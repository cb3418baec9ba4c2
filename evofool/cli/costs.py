"""``evofool defend`` of kind costs: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evofool.cli.terminal import answer
from evofool.text import bare

if TYPE_CHECKING:
    from evofool.experiments.costs import CostsPlan
    from evofool.store import Result


def print_plan(plan: CostsPlan) -> None:
    """The resolved config, then what there is to do and what stands in the way."""
    from evofool.config import to_yaml

    answer(*to_yaml(plan.config).rstrip("\n").split("\n"))
    for missing in plan.missing:
        answer(f"# not ready: {bare(missing)}")
    ready = "ready" if not plan.missing else "not ready"
    answer(
        f"# nets to be trained: {plan.trainings}; images to be evolved: {plan.evolved:,}; {ready}"
    )


def print_costs(result: Result) -> None:
    """The measures, loss beside loss, and where to look."""
    from evofool.report.tables import Cell, Column, Confidence, Count, Estimate, Rate, Table, Text

    nets = result.summary["nets"]
    measures: list[list[Cell]] = []
    for measure in nets[0]["measures"]:
        for net in nets:
            m = net["measures"][measure]
            share = Estimate(m["rate"], m["low"], m["high"])
            measures.append([measure, net["loss"], share, m["n"]])
    rate = Rate("rate", places=2, bounds=("low", "high"))
    answer(*Table([Text("measure"), Text("loss"), rate, Count("answers")], measures).plain())
    bars = list(nets[0]["evolution"][0]["share_at"]) if nets[0]["evolution"] else []
    columns: list[Column] = [Text("evolution"), Text("loss")]
    columns.append(Confidence("median", bounds=("low", "high")))
    columns += [Rate(f"cells >= {bar}", places=0) for bar in bars]
    columns += [Count("images"), Count("seeds")]
    evolved: list[list[Cell]] = []
    for net in nets:
        for e in net["evolution"]:
            median = Estimate(e["median_confidence"], e["low"], e["high"])
            shares = [e["share_at"][bar]["rate"] for bar in bars]
            seeds = len(e["seeds"])
            evolved.append([e["encoding"], net["loss"], median, *shares, e["evaluations"], seeds])
    if evolved:
        answer("", *Table(columns, evolved).plain())
    answer(f"look at {result.path / 'report' / 'index.html'}")
    answer(f"        {result.path / 'costs.csv'}")
