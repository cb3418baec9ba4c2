"""A comparison of cost functions in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.config import yaml_lines
from evofool.store import Result
from evofool.text import bare, counted, estimate

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
    s = result.summary
    lines = []
    for measure in s["nets"][0]["measures"]:
        for net in s["nets"]:
            m = net["measures"][measure]
            lines.append(
                f"{measure:<26} {net['loss']:<14} {m['rate']:>7.2%}"
                f"  {m['low']:.1%}-{m['high']:.1%}, {m['n']:,} answers"
            )
    for net in s["nets"]:
        for e in net["evolution"]:
            shares = ", ".join(
                f"{share['rate']:.0%} of cells >= {bar}" for bar, share in e["share_at"].items()
            )
            lines.append(
                f"evolution, {e['encoding']:<15} {net['loss']:<14} median"
                f" {estimate(e['median_confidence'], e['low'], e['high'])}, {shares}, after"
                f" {counted(e['evaluations'], 'image')}, {counted(len(e['seeds']), 'seed')}"
            )
    return [
        *lines,
        f"look at {result.path / 'report' / 'index.html'}",
        f"        {result.path / 'costs.csv'}",
    ]
