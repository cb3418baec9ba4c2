"""``evofool defend``: parse, call, print."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.cli import costs, signals
from evofool.cli.arguments import ConfigName, DryRun, Out, Overrides, Seed
from evofool.cli.terminal import answer
from evofool.text import bare, counted, estimate

if TYPE_CHECKING:
    from evofool.config import Loaded
    from evofool.experiments.defend_setup import DefendPlan
    from evofool.experiments.engine.study import Study
    from evofool.store import Result


@dataclass(frozen=True)
class _Kind:
    """What ``evofool defend`` does with a kind of config."""

    load: Callable[..., Loaded[Any]]
    plan: Callable[[Any], Any]
    run: Callable[..., Result]
    resume: Callable[..., Result]
    print_plan: Callable[[Any], None]
    print_result: Callable[[Result], None]


# each imported when a config of its kind is there


def _matrix() -> _Kind:
    from evofool.experiments.defend_config import load_defense
    from evofool.experiments.defend_setup import plan
    from evofool.experiments.defending import defend, resume_defense

    return _Kind(load_defense, plan, defend, resume_defense, print_plan, print_defense)


def _retrain() -> _Kind:
    from evofool.cli import retrain
    from evofool.experiments.retrain.config import load_retraining
    from evofool.experiments.retrain.setup import plan
    from evofool.experiments.retrain.study import RetrainStudy

    return _of_study(RetrainStudy, load_retraining, plan, retrain.print_plan, retrain.print_result)


def _costs() -> _Kind:
    from evofool.experiments.costs.config import load_costs
    from evofool.experiments.costs.study import CostsStudy, plan

    return _of_study(CostsStudy, load_costs, plan, costs.print_plan, costs.print_costs)


def _of_study(
    kind: type[Study[Any]],
    load: Callable[..., Loaded[Any]],
    plan: Callable[[Any], Any],
    print_plan: Callable[[Any], None],
    print_result: Callable[[Result], None],
) -> _Kind:
    from evofool.experiments.engine import study

    def run(loaded: Any, out: Path, *, command: str, **options: Any) -> Result:
        return study.begin(kind, loaded, out, command=command, options=study.Options(**options))

    def resume(path: Path, *, progress: Any, should_stop: Any, **rest: Any) -> Result:
        return study.resume(kind, path, options=study.Options(progress, should_stop), **rest)

    return _Kind(load, plan, run, resume, print_plan, print_result)


KINDS: Mapping[str, Callable[[], _Kind]] = {
    "defend": _matrix,
    "retrain": _retrain,
    "costs": _costs,
}
"""Configs and run folders of ``evofool defend``, by their ``kind``."""


def defend(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Judge a defense: attack it in every way, with its undefended net beside it.

    A config of kind retrain makes a class of what fools, again and again; one of kind costs
    compares cost functions.
    """
    from evofool.config import kind_of

    kind = KINDS.get(kind_of(config, KINDS), _matrix)()  # which tells what another kind is for
    loaded = kind.load(config, overrides or (), seed)
    if dry_run:
        kind.print_plan(kind.plan(loaded))
        return
    from evofool.cli.progress import watch_defense
    from evofool.cli.report import free_folder

    folder = out or free_folder(loaded.config.name or Path(config).stem)
    command = shlex.join(["evofool", *sys.argv[1:]])
    with watch_defense() as progress, signals.stop_requested() as stop:
        result = kind.run(loaded, folder, command=command, progress=progress, should_stop=stop)
    kind.print_result(result)


def resume(
    kind: str,
    run: Path,
    overrides: Sequence[str],
    classifier: str | None,
    encoding: str | None,
) -> None:
    """``evofool resume`` of a run of one of `KINDS`."""
    from evofool.cli.progress import watch_defense

    found = KINDS[kind]()
    with watch_defense() as progress, signals.stop_requested() as stop:
        result = found.resume(
            run,
            classifier=classifier,
            encoding=encoding,
            overrides=overrides,
            progress=progress,
            should_stop=stop,
        )
    found.print_result(result)


def print_plan(plan: DefendPlan) -> None:
    """The resolved config, then what there is to do and what stands in the way."""
    from evofool.cli.report import print_victim
    from evofool.config import to_yaml

    answer(*to_yaml(plan.config).rstrip("\n").split("\n"))
    images = "all" if plan.images is None else f"{plan.images:,}"
    for missing in plan.missing:
        answer(f"# not ready: {bare(missing)}")
    work = f"images to be attacked: {images}; to be evolved: {plan.evolved:,}"
    print_victim(plan.classifier, work, ready=not plan.missing)


def print_defense(result: Result) -> None:
    """The matrix, net beside net, then the verdict and where to look."""
    from evofool.report.tables import Cell, Column, Count, Estimate, Rate, Table, Text

    s = result.summary
    nets = list(dict.fromkeys(row["net"] for row in s["threats"]))
    defended = [net for net in nets if net == "defended"]
    answer(f"{bare(s['base']['name'])}, defense {bare(s['defense']['name'])}, eps {s['eps']:g}")
    by_net = {net: {r["threat"]: r for r in s["threats"] if r["net"] == net} for net in nets}
    columns: list[Column] = [Text("threat"), Count("n")]
    columns += [Rate(f"{net} errors", bounds=("low", "high")) for net in nets]
    columns += [Count("rejected") for _ in defended]
    rows: list[list[Cell]] = []
    for threat in dict.fromkeys(row["threat"] for row in s["threats"]):
        found = [by_net[net].get(threat) for net in nets]
        n = next(row["n"] for row in found if row is not None)
        errors = [row and Estimate(row["rate"], row["low"], row["high"]) for row in found]
        rows.append([threat, n, *errors, *(row and row["rejected"] for row in found[1:])])
    answer(*Table(columns, rows).plain())
    for curve in s["evolution"]:
        answer(
            f"evolution, {curve['encoding']}, {curve['net']} net: median confidence"
            f" {estimate(curve['median_confidence'], curve['low'], curve['high'])} after"
            f" {counted(curve['evaluations'], 'image')}, {counted(len(curve['seeds']), 'seed')}"
        )
    verdict = s["verdict"]
    answer(f"gradient masking: {verdict['colour'].upper()}: {bare(verdict['reason'])}")
    answer(f"look at {result.path / 'report' / 'index.html'}")
    answer(f"        {result.path / 'threats.csv'}")
    if defended:
        answer(f"the defended net is a victim: --classifier {result.path / 'victim.yaml'}")
