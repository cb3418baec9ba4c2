"""``evofool attack``: parse, call, print."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.cli import signals
from evofool.cli.arguments import ConfigName, DryRun, Out, Overrides, Seed
from evofool.cli.gallery import shown
from evofool.cli.sent import sent_line
from evofool.cli.terminal import answer
from evofool.text import bare, counted

if TYPE_CHECKING:
    from evofool.experiments.attack.plan import AttackPlan
    from evofool.gallery import Gallery
    from evofool.report.tables import Cell
    from evofool.store import Result

MOST_SHOWN = 5000
"""Pictures of the gallery that a run ends with; ``evofool gallery`` shows all."""


def attack(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Attack a classifier with gradients or queries, into a new run folder."""
    from evofool.config import load_attacks

    loaded = load_attacks(config, overrides or (), seed)
    if dry_run:
        from evofool.experiments.attack.plan import plan

        print_attack_plan(plan(loaded))
        return
    from evofool.cli.progress import watch_attacks
    from evofool.cli.report import free_folder
    from evofool.experiments.attack.run import attack as run_attacks

    folder = out or free_folder(loaded.config.name or Path(config).stem)
    command = shlex.join(["evofool", *sys.argv[1:]])
    with watch_attacks() as progress, signals.stop_requested() as stop:
        result = run_attacks(loaded, folder, command=command, progress=progress, should_stop=stop)
    print_attacks(result, _gallery(result))


def resume(
    run: Path, overrides: Sequence[str], classifier: str | None, encoding: str | None
) -> None:
    """``evofool resume`` of a run of attacks."""
    from evofool.cli.progress import watch_attacks
    from evofool.experiments.attack.run import resume_attacks

    with watch_attacks() as progress, signals.stop_requested() as stop:
        result = resume_attacks(
            run,
            classifier=classifier,
            encoding=encoding,
            overrides=overrides,
            progress=progress,
            should_stop=stop,
        )
    print_attacks(result, _gallery(result))


def _gallery(result: Result) -> Gallery:
    from evofool.gallery import Options

    return shown(result.path, options=Options(top=MOST_SHOWN))


def print_attack_plan(plan: AttackPlan) -> None:
    """The resolved config, the attacks it comes to, then what stands in the way of running it."""
    from evofool.cli.report import print_victim
    from evofool.config import to_yaml

    answer(*to_yaml(plan.config).rstrip("\n").split("\n"))
    for planned in plan.attacks:
        answer(f"# attack {planned.index}: {planned.name} {_parameters(planned.parameters)}")
    images = "known once the victim is there" if plan.images is None else f"{plan.images:,}"
    for note in plan.notes:
        answer(f"# {bare(note)}")
    print_victim(plan.classifier, f"images to be attacked: {images}")


def print_attacks(result: Result, gallery: Gallery) -> None:
    """A line an attack, what it took in all, and where to look."""
    from evofool.report.tables import Number, Rate, Seconds, Table, Text

    s = result.summary
    answer(
        f"{s['classifier']['name']}: {s['attacked']} of {counted(s['images'], 'image')} attacked"
        + (f", {s['left_out']} left out (wrong before any attack)" if s["left_out"] else "")
        + ("; labels are the victim's own answers" if s["labels"] == "victim" else "")
    )
    written = _written(result.path)
    columns = [
        Text("attack"), Text("parameters"), Text("n", at_right=True),
        Rate("fooled PNG", bounds=("low", "high")), Rate("float"), Number("L2", form=".2f"),
        Number("Linf", form=".3f"), Number("fwd/img", form=".1f"), Number("bwd/img", form=".1f"),
        Seconds("time"),
    ]  # fmt: skip
    rows = [_row(group, s["attacks"], written.get(group["index"], ())) for group in s["attacks"]]
    answer(*Table(columns, rows).plain())
    for group in s["attacks"]:
        for note in group["notes"]:
            answer(f"note on {group['attack']} ({group['index']}): {bare(note)}")
    for note in s["notes"]:
        answer(f"note: {bare(note)}")
    if s["stop_reason"] == "budget":
        answer(
            f"the query budget ended it: {counted(s['queries'], 'query', 'queries')}; go on with"
            f" evofool resume {result.path} scoring.budget=N"
        )
    if s["sent"]["total"] != s["queries"]:
        answer(f"pictures sent to the victim: {sent_line(s['sent'])}")
    answer(f"look at {gallery.page}")
    answer(f"        {result.path / 'results.csv'}")
    answer(f"        {result.path / 'equations'}")


def _written(run: Path) -> dict[int, Collection[str]]:
    """The parameters that the config sets, by number of the attack."""
    from evofool.attacks.planning import planned_attacks
    from evofool.config import load_attacks

    loaded = load_attacks(run / "config.yaml", check_files=False)
    entries = loaded.config.attacks
    return {each.index: entries[each.entry].options for each in planned_attacks(loaded)}


def _row(
    group: Mapping[str, Any], all_groups: Sequence[Mapping[str, Any]], written: Collection[str]
) -> list[Cell]:
    from evofool.report.tables import Estimate

    png, norms = group["success_png"], group["norms"]
    varied = {
        key: value
        for key, value in group["parameters"].items()
        if key in ("eps", "norm", "steps", *written) or _varies(key, group, all_groups)
    }
    if group["targets"] != "none":
        varied["targets"] = group["targets"]
    blank = png["rate"] is None
    return [
        group["attack"],
        _parameters(varied),
        f"{group['n']:,}" + (f" of {group['planned']:,}" if group["n"] < group["planned"] else ""),
        None if blank else Estimate(png["rate"], png["low"], png["high"]),
        None if blank else group["success_float"]["rate"],
        None if norms is None else norms["l2"]["mean"],
        None if norms is None else norms["linf"]["mean"],
        None if blank else group["forward_images_per_image"],
        None if blank else group["backward_images_per_image"],
        group["seconds"],
    ]


def _varies(key: str, group: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> bool:
    same = [g["parameters"].get(key) for g in groups if g["attack"] == group["attack"]]
    return any(value != same[0] for value in same)


def _parameters(values: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in values.items()
        if value is not None
    )
