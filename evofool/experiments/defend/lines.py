"""The evaluation of a defense in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.config import yaml_lines
from evofool.report.tables import Cell, Column, Count, Estimate, Rate, Table, Text
from evofool.store import Result
from evofool.text import bare, counted, estimate

if TYPE_CHECKING:
    from evofool.experiments.defend.setup import DefendPlan


def plan_lines(plan: DefendPlan) -> list[str]:
    """The resolved config, then what there is to do and what stands in the way."""
    images = "all" if plan.images is None else f"{plan.images:,}"
    work = f"images to be attacked: {images}; to be evolved: {plan.evolved:,}"
    return [
        *yaml_lines(plan.config),
        *(f"# not ready: {bare(missing)}" for missing in plan.missing),
        *plan.classifier.lines(work, ready=not plan.missing),
    ]


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """The matrix, net beside net, then the verdict and where to look."""
    s = result.summary
    nets = list(dict.fromkeys(row["net"] for row in s["threats"]))
    defended = [net for net in nets if net == "defended"]
    lines = [f"{bare(s['base']['name'])}, defense {bare(s['defense']['name'])}, eps {s['eps']:g}"]
    by_net = {net: {r["threat"]: r for r in s["threats"] if r["net"] == net} for net in nets}
    most = max((row["n"] for row in s["threats"]), default=0)
    columns: list[Column] = [Text("threat"), Count("n")]
    columns += [Rate(f"{net} errors", bounds=("low", "high"), of=most) for net in nets]
    columns += [Count("rejected") for _ in defended]
    rows: list[list[Cell]] = []
    for threat in dict.fromkeys(row["threat"] for row in s["threats"]):
        own = [by_net[net].get(threat) for net in nets]
        n = next(row["n"] for row in own if row is not None)
        errors = [row and Estimate(row["rate"], row["low"], row["high"]) for row in own]
        rows.append([threat, n, *errors, *(row and row["rejected"] for row in own[1:])])
    lines += Table(columns, rows).plain()
    for curve in s["evolution"]:
        lines.append(
            f"evolution, {curve['encoding']}, {curve['net']} net: median confidence"
            f" {estimate(curve['median_confidence'], curve['low'], curve['high'])} after"
            f" {counted(curve['evaluations'], 'image')}, {counted(len(curve['seeds']), 'seed')}"
        )
    verdict = s["verdict"]
    lines += [
        f"gradient masking: {verdict['colour'].upper()}: {bare(verdict['reason'])}",
        f"look at {result.path / 'report' / 'index.html'}",
        f"        {result.path / 'threats.csv'}",
    ]
    if defended:
        lines.append(
            f"to use the defended net as a classifier: --classifier {result.path / 'victim.yaml'}"
        )
    return lines
