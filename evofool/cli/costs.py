"""``evofool defend`` of kind costs: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evofool.cli.terminal import answer
from evofool.text import bare, counted, estimate

if TYPE_CHECKING:
    from evofool.experiments.costs.study import CostsPlan
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
    s = result.summary
    for measure in s["nets"][0]["measures"]:
        for net in s["nets"]:
            m = net["measures"][measure]
            answer(
                f"{measure:<26} {net['loss']:<14} {m['rate']:>7.2%}"
                f"  {m['low']:.1%}-{m['high']:.1%}, {m['n']:,} answers"
            )
    for net in s["nets"]:
        for e in net["evolution"]:
            shares = ", ".join(
                f"{share['rate']:.0%} of cells >= {bar}" for bar, share in e["share_at"].items()
            )
            answer(
                f"evolution, {e['encoding']:<15} {net['loss']:<14} median"
                f" {estimate(e['median_confidence'], e['low'], e['high'])}, {shares}, after"
                f" {counted(e['evaluations'], 'image')}, {counted(len(e['seeds']), 'seed')}"
            )
    answer(f"look at {result.path / 'report' / 'index.html'}")
    answer(f"        {result.path / 'costs.csv'}")
