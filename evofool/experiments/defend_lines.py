"""The evaluation of a defense in lines of text: before it runs, while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.config import yaml_lines
from evofool.store import Result
from evofool.text import aligned, bare, counted, duration, estimate

if TYPE_CHECKING:
    from evofool.experiments.defend_setup import DefendPlan
    from evofool.experiments.engine.progress import ExperimentProgress


def plan_lines(plan: DefendPlan) -> list[str]:
    """The resolved config, then what there is to do and what stands in the way."""
    images = "all" if plan.images is None else f"{plan.images:,}"
    work = f"images to be attacked: {images}; to be evolved: {plan.evolved:,}"
    return [
        *yaml_lines(plan.config),
        *(f"# not ready: {bare(missing)}" for missing in plan.missing),
        *plan.classifier.lines(work, ready=not plan.missing),
    ]


def progress() -> Callable[[ExperimentProgress], tuple[str, float | None]]:
    """Gives how many steps are done, the time left and the step in a line."""
    return lambda p: (_progress_line(p), p.share_done)


def _progress_line(p: ExperimentProgress) -> str:
    parts = [f"{p.done}/{p.steps}"] if p.steps else []
    if p.seconds_left is not None:  # early: a narrow terminal cuts the end
        parts.append(f"{duration(p.seconds_left)} left")
    return "  ".join([*parts, p.step])


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """The matrix, net beside net, then the verdict and where to look."""
    s = result.summary
    nets = list(dict.fromkeys(row["net"] for row in s["threats"]))
    defended = [net for net in nets if net == "defended"]
    lines = [f"{bare(s['base']['name'])}, defense {bare(s['defense']['name'])}, eps {s['eps']:g}"]
    header = ["threat", "n"]
    for net in nets:
        header += [f"{net} errors", "95 %"]
    header += ["rejected"] * len(defended)
    rows = [header]
    by_net = {net: {r["threat"]: r for r in s["threats"] if r["net"] == net} for net in nets}
    for threat in dict.fromkeys(row["threat"] for row in s["threats"]):
        found = [by_net[net].get(threat) for net in nets]
        cells = [bare(threat), str(next(row["n"] for row in found if row is not None))]
        for row in found:
            cells += _rate(row)
        cells += [str(row["rejected"]) for row in found[1:] if row is not None] or [""] * len(
            defended
        )
        rows.append(cells)
    lines += aligned(rows, left=1)
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
        lines.append(f"the defended net is a victim: --classifier {result.path / 'victim.yaml'}")
    return lines


def _rate(row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return ["-", ""]
    return [f"{row['rate']:.1%}", f"{row['low']:.0%}-{row['high']:.0%}"]
