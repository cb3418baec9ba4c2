"""A retraining loop in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.config import yaml_lines
from evofool.store import Result
from evofool.text import aligned, bare, counted, estimate

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
    rows = [["round", "trained on", "clean errors", "recall, old", "ascent"]]
    encodings = [e["encoding"] for e in s["nets"][0]["evolution"]]
    rows[0] += [f"{bare(e)}: median, recall of last" for e in encodings]
    for net in s["nets"]:
        row = [str(net["round"]), bare(net["trained_on"])]
        row += [_share(net[name]) for name in ("clean_error", "recall_old", "ascent")]
        row += [
            f"{estimate(e['median_confidence'], e['low'], e['high'])}, " + _share(e["recall_last"])
            for e in net["evolution"]
        ]
        rows.append(row)
    return [
        f"{bare(s['base']['name'])}, {len(s['seeds'])} seeds: medians over them",
        *aligned(rows, left=len(rows[0])),
        f"look at {result.path / 'report' / 'index.html'}",
        f"        {result.path / 'retrain.csv'}",
    ]


def _share(value: dict[str, Any] | None) -> str:
    return "-" if value is None else f"{value['median']:.2%}"
