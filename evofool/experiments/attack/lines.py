"""A run of attacks in lines of text: before it runs, while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.attacks.runs.planning import planned_attacks
from evofool.config import load_attacks, yaml_lines
from evofool.experiments.attack.plan import AttackPlan
from evofool.experiments.engine.progress import Tally
from evofool.render.masks import in_words
from evofool.report.tables import Cell, Estimate, Number, Rate, Seconds, Table, Text
from evofool.store import Result
from evofool.text import bare, counted, duration, sent_line

if TYPE_CHECKING:
    from evofool.experiments.engine import ExperimentProgress


def plan_lines(plan: AttackPlan) -> list[str]:
    """The resolved config, the attacks it comes to, then what stands in the way of running it."""
    images = "known once the victim is loaded" if plan.images is None else f"{plan.images:,}"
    return [
        *yaml_lines(plan.config),
        *(f"# attack {p.index}: {p.name} {_parameters(p.parameters)}" for p in plan.attacks),
        *(f"# {bare(note)}" for note in plan.notes),
        *plan.classifier.lines(f"images to be attacked: {images}"),
    ]


def progress() -> Callable[[ExperimentProgress], tuple[str, float | None]]:
    """Gives the attack, its images done and fooled, time left and queries in a line."""
    latest = "clean images"

    def line(p: ExperimentProgress) -> tuple[str, float | None]:
        nonlocal latest
        if p.tally is not None:  # between attacks there is nothing to tell
            latest = _progress_line(p, p.tally)
        return latest, p.share_done

    return line


def _progress_line(p: ExperimentProgress, tally: Tally) -> str:
    parts = [p.step, f"{tally.done}/{counted(tally.of, 'image')}"]
    if p.seconds_left is not None:
        parts.append(f"{duration(p.seconds_left)} left")
    if tally.hits:
        parts.append(f"fooled {tally.hits}")
    return "  ".join([*parts, counted(p.queries, "query", "queries")])


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """A line an attack, what it took in all, and where to look."""
    s = result.summary
    lines = [
        f"{s['classifier']['name']}: {s['attacked']} of {counted(s['images'], 'image')} attacked"
        + (f", {s['left_out']} left out (wrong before any attack)" if s["left_out"] else "")
        + ("; labels are the victim's own answers" if s["labels"] == "victim" else "")
    ]
    written = _written(result.path)
    most = max((group["n"] for group in s["attacks"]), default=0)
    columns = [
        Text("attack"), Text("parameters"), Text("n", at_right=True),
        Rate("fooled PNG", bounds=("low", "high"), of=most), Rate("float", of=most),
        Number("L2", form=".2f"), Number("Linf", form=".3f"),
        Number("fwd/img", form=".1f"), Number("bwd/img", form=".1f"), Seconds("time"),
    ]  # fmt: skip
    rows = [_row(group, s["attacks"], written.get(group["index"], ())) for group in s["attacks"]]
    lines += Table(columns, rows).plain()
    for group in s["attacks"]:
        for note in group["notes"]:
            lines.append(f"note on {group['attack']} ({group['index']}): {bare(note)}")
    lines += [f"note: {bare(note)}" for note in s["notes"]]
    if s["stop_reason"] == "budget":
        lines.append(
            f"the query budget ended it: {counted(s['queries'], 'query', 'queries')}; continue"
            f" with evofool resume {result.path} scoring.budget=N"
        )
    if s["sent"]["total"] != s["queries"]:
        lines.append(f"pictures sent to the victim: {sent_line(s['sent'])}")
    return [
        *lines,
        *(f"look at {page}" for page in pages[:1]),
        f"        {result.path / 'results.csv'}",
        f"        {result.path / 'equations'}",
    ]


def _written(run: Path) -> dict[int, Collection[str]]:
    """The parameters that the config sets, by number of the attack."""
    loaded = load_attacks(run / "config.yaml", check_files=False)
    entries = loaded.config.attacks
    return {each.index: entries[each.entry].options for each in planned_attacks(loaded)}


def _row(
    group: Mapping[str, Any], all_groups: Sequence[Mapping[str, Any]], written: Collection[str]
) -> list[Cell]:
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
        f"{key}={value:.4g}"
        if isinstance(value, float)
        else f"{key}={in_words(value) if key == 'mask' else value}"
        for key, value in values.items()
        if value is not None
    )
