"""``evofool defend`` of kind costs: parse, call, print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evofool.cli import signals
from evofool.text import bare

if TYPE_CHECKING:
    from evofool.experiments.costs import CostsPlan
    from evofool.store import Result


def run(
    config: str,
    overrides: Sequence[str],
    out: Path | None,
    seed: int | None,
    dry_run: bool,
    command: str,
) -> None:
    """Train one net under several cost functions and judge them alike."""
    from evofool.experiments.costs_config import load_costs

    loaded = load_costs(config, overrides, seed)
    if dry_run:
        from evofool.experiments.costs import plan

        print_plan(plan(loaded))
        return
    from evofool.cli.progress import watch_defense
    from evofool.cli.report import free_folder
    from evofool.experiments.costs import compare_costs

    folder = out or free_folder(loaded.config.name or Path(config).stem)
    with watch_defense() as progress, signals.stop_requested() as stop:
        result = compare_costs(
            loaded, folder, command=command, progress=progress, should_stop=stop
        )  # fmt: skip
    print_costs(result)


def resume(run: Path, overrides: Sequence[str], classifier: str | None) -> None:
    """``evofool resume`` of a comparison."""
    from evofool.cli.progress import watch_defense
    from evofool.experiments.costs import resume_costs

    with watch_defense() as progress, signals.stop_requested() as stop:
        result = resume_costs(
            run, classifier=classifier, overrides=overrides, progress=progress, should_stop=stop
        )
    print_costs(result)


def print_plan(plan: CostsPlan) -> None:
    """The resolved config, then what there is to do and what stands in the way."""
    from evofool.config import to_yaml

    typer.echo(to_yaml(plan.config), nl=False)
    for missing in plan.missing:
        typer.echo(f"# not ready: {bare(missing)}")
    ready = "ready" if not plan.missing else "not ready"
    typer.echo(
        f"# nets to be trained: {plan.trainings}; images to be evolved: {plan.evolved:,}; {ready}"
    )


def print_costs(result: Result) -> None:
    """The measures, loss beside loss, and where to look."""
    s = result.summary
    for measure in s["nets"][0]["measures"]:
        for net in s["nets"]:
            m = net["measures"][measure]
            typer.echo(
                f"{measure:<26} {net['loss']:<14} {m['rate']:>7.2%}"
                f"  {m['low']:.1%}-{m['high']:.1%}, {m['n']:,} answers"
            )
    for net in s["nets"]:
        for e in net["evolution"]:
            shares = ", ".join(
                f"{counted['rate']:.0%} of cells >= {bar}" for bar, counted in e["share_at"].items()
            )
            typer.echo(
                f"evolution, {e['encoding']:<15} {net['loss']:<14} median"
                f" {e['median_confidence']:.4f} ({e['low']:.4f}-{e['high']:.4f}), {shares}, after"
                f" {e['evaluations']:,} images, {len(e['seeds'])} seeds"
            )
    typer.echo(f"look at {result.path / 'report' / 'index.html'}")
    typer.echo(f"        {result.path / 'costs.csv'}")
