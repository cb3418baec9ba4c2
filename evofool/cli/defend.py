"""``evofool defend``: parse, call, print."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evofool.cli import costs, signals
from evofool.cli.arguments import ConfigName, DryRun, Out, Overrides, Seed
from evofool.text import bare

if TYPE_CHECKING:
    from evofool.experiments.defend_setup import DefendPlan
    from evofool.store import Result


def defend(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Judge a defense: attack it in every way, with its undefended net beside it.

    A config of kind costs compares cost functions instead.
    """
    from evofool.config import kind_of

    run = _RUNS.get(kind_of(config), _judge)
    command = shlex.join(["evofool", *sys.argv[1:]])
    run(config, overrides or (), out, seed, dry_run, command)


def _judge(
    config: str,
    overrides: Sequence[str],
    out: Path | None,
    seed: int | None,
    dry_run: bool,
    command: str,
) -> None:
    from evofool.experiments.defend_config import load_defense

    loaded = load_defense(config, overrides, seed)
    if dry_run:
        from evofool.experiments.defend_setup import plan

        print_plan(plan(loaded))
        return
    from evofool.cli.progress import watch_defense
    from evofool.cli.report import free_folder
    from evofool.experiments.defending import defend as run_defense

    folder = out or free_folder(loaded.config.name or Path(config).stem)
    with watch_defense() as progress, signals.stop_requested() as stop:
        result = run_defense(loaded, folder, command=command, progress=progress, should_stop=stop)
    print_defense(result)


_RUNS = {"costs": costs.run}
"""By the kind of a config; all others are evaluations of a defense, or errors of one."""


def resume(run: Path, overrides: Sequence[str], classifier: str | None) -> None:
    """``evofool resume`` of an evaluation."""
    from evofool.cli.progress import watch_defense
    from evofool.experiments.defending import resume_defense

    with watch_defense() as progress, signals.stop_requested() as stop:
        result = resume_defense(
            run, classifier=classifier, overrides=overrides, progress=progress, should_stop=stop
        )
    print_defense(result)


def print_plan(plan: DefendPlan) -> None:
    """The resolved config, then what there is to do and what stands in the way."""
    from evofool.cli.report import print_victim
    from evofool.config import to_yaml

    typer.echo(to_yaml(plan.config), nl=False)
    images = "all" if plan.images is None else f"{plan.images:,}"
    for missing in plan.missing:
        typer.echo(f"# not ready: {bare(missing)}")
    work = f"images to be attacked: {images}; to be evolved: {plan.evolved:,}"
    print_victim(plan.classifier, work, ready=not plan.missing)


def print_defense(result: Result) -> None:
    """The matrix, net beside net, then the verdict and where to look."""
    s = result.summary
    nets = list(dict.fromkeys(row["net"] for row in s["threats"]))
    defended = [net for net in nets if net == "defended"]
    typer.echo(f"{bare(s['base']['name'])}, defense {bare(s['defense']['name'])}, eps {s['eps']:g}")
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
    widths = [max(len(row[k]) for row in rows) for k in range(len(header))]
    for row in rows:
        line = (
            c.ljust(w) if k == 0 else c.rjust(w)
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        typer.echo("  ".join(line).rstrip())
    for curve in s["evolution"]:
        typer.echo(
            f"evolution, {curve['encoding']}, {curve['net']} net: median confidence"
            f" {curve['median_confidence']:.4f} ({curve['low']:.4f}-{curve['high']:.4f}) after"
            f" {curve['evaluations']:,} images, {len(curve['seeds'])} seeds"
        )
    verdict = s["verdict"]
    typer.echo(f"gradient masking: {verdict['colour'].upper()}: {bare(verdict['reason'])}")
    typer.echo(f"look at {result.path / 'report' / 'index.html'}")
    typer.echo(f"        {result.path / 'threats.csv'}")
    if defended:
        typer.echo(f"the defended net is a victim: --classifier {result.path / 'victim.yaml'}")


def _rate(row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return ["-", ""]
    return [f"{row['rate']:.1%}", f"{row['low']:.0%}-{row['high']:.0%}"]
