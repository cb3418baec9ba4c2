"""``evofool defend`` of configs of kind retrain: what is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evofool.cli.terminal import answer
from evofool.text import bare, counted

if TYPE_CHECKING:
    from evofool.experiments.retrain.setup import RetrainPlan
    from evofool.store import Result


def print_plan(plan: RetrainPlan) -> None:
    """The resolved config, then what there is to do and what stands in the way."""
    from evofool.cli.report import print_victim
    from evofool.config import to_yaml

    answer(*to_yaml(plan.config).rstrip("\n").split("\n"))
    for missing in plan.missing:
        answer(f"# not ready: {bare(missing)}")
    work = (
        f"nets to be retrained: {plan.trainings}; runs of evolution: {plan.evolutions}, of"
        f" {counted(plan.evolved, 'image')} in all"
    )
    if plan.classifier is None:
        answer(f"# {work}")
    else:
        print_victim(plan.classifier, work, ready=not plan.missing)


def print_result(result: Result) -> None:
    """A line a net, then where to look."""
    from evofool.report.tables import Cell, Column, Confidence, Count, Estimate, Rate, Table, Text

    found = result.summary
    shares = {"clean_error": "clean errors", "recall_old": "recall, old", "ascent": "ascent"}
    columns: list[Column] = [Count("round"), Text("trained on")]
    columns += [Rate(title, places=2) for title in shares.values()]
    for e in found["nets"][0]["evolution"]:
        columns.append(Confidence(f"{e['encoding']}: median", bounds=("low", "high")))
        columns.append(Rate("recall of last", places=2))
    rows: list[list[Cell]] = []
    for net in found["nets"]:
        row: list[Cell] = [net["round"], net["trained_on"]]
        row += [net[name] and net[name]["median"] for name in shares]
        for e in net["evolution"]:
            last = e["recall_last"]
            row.append(Estimate(e["median_confidence"], e["low"], e["high"]))
            row.append(last and last["median"])
        rows.append(row)
    answer(f"{bare(found['base']['name'])}, {len(found['seeds'])} seeds: medians over them")
    answer(*Table(columns, rows).plain())
    answer(f"look at {result.path / 'report' / 'index.html'}")
    answer(f"        {result.path / 'retrain.csv'}")
