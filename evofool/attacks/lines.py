"""A run of attacks in lines of text: before it runs, while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.attacks.planning import AttackPlan, planned_attacks
from evofool.config import load_attacks, yaml_lines
from evofool.store import Result
from evofool.text import aligned, bare, counted, duration, sent_line

if TYPE_CHECKING:
    from evofool.attacks.campaign import AttackProgress

_HEADER = ("attack", "parameters", "n", "fooled PNG", "95 %", "float", "L2", "Linf", "fwd/img",
           "bwd/img", "s")  # fmt: skip


def plan_lines(plan: AttackPlan) -> list[str]:
    """The resolved config, the attacks it comes to, then what stands in the way of running it."""
    images = "known once the victim is there" if plan.images is None else f"{plan.images:,}"
    return [
        *yaml_lines(plan.config),
        *(f"# attack {p.index}: {p.name} {_parameters(p.parameters)}" for p in plan.attacks),
        *(f"# {bare(note)}" for note in plan.notes),
        *plan.classifier.lines(f"images to be attacked: {images}"),
    ]


def progress() -> Callable[[AttackProgress], tuple[str, float | None]]:
    """Gives the attack, its images done and fooled, time left and queries in a line."""
    return lambda p: (_progress_line(p), p.share_done)


def _progress_line(p: AttackProgress) -> str:
    if p.attack is None:
        return f"{counted(p.done, 'clean image')}  {counted(p.queries, 'query', 'queries')}"
    parts = [
        f"{p.attack.name} ({p.attack.index + 1}/{p.attacks})",
        f"{p.done}/{counted(p.images, 'image')}",
    ]
    if p.seconds_left is not None:
        parts.append(f"{duration(p.seconds_left)} left")
    if p.done:
        parts.append(f"fooled {p.fooled}")
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
    rows = [_line(group, s["attacks"], written.get(group["index"], ())) for group in s["attacks"]]
    lines += aligned([_HEADER, *rows], left=2)
    for group in s["attacks"]:
        for note in group["notes"]:
            lines.append(f"note on {group['attack']} ({group['index']}): {bare(note)}")
    lines += [f"note: {bare(note)}" for note in s["notes"]]
    if s["stop_reason"] == "budget":
        lines.append(
            f"the query budget ended it: {counted(s['queries'], 'query', 'queries')}; go on with"
            f" evofool resume {result.path} scoring.budget=N"
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


def _line(
    group: Mapping[str, Any], all_groups: Sequence[Mapping[str, Any]], written: Collection[str]
) -> tuple[str, ...]:
    png, norms = group["success_png"], group["norms"]
    varied = {
        key: value
        for key, value in group["parameters"].items()
        if key in ("eps", "norm", "steps", *written) or _varies(key, group, all_groups)
    }
    if group["targets"] != "none":
        varied["targets"] = group["targets"]
    blank = png["rate"] is None
    return (
        group["attack"],
        bare(_parameters(varied)),
        str(group["n"]) + (f" of {group['planned']}" if group["n"] < group["planned"] else ""),
        "-" if blank else f"{png['rate']:.1%}",
        "" if blank else f"{png['low']:.0%}-{png['high']:.0%}",
        "-" if blank else f"{group['success_float']['rate']:.1%}",
        "" if norms is None else f"{norms['l2']['mean']:.2f}",
        "" if norms is None else f"{norms['linf']['mean']:.3f}",
        "" if blank else f"{group['forward_images_per_image']:.1f}",
        "" if blank else f"{group['backward_images_per_image']:.1f}",
        f"{group['seconds']:.1f}",
    )


def _varies(key: str, group: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> bool:
    same = [g["parameters"].get(key) for g in groups if g["attack"] == group["attack"]]
    return any(value != same[0] for value in same)


def _parameters(values: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in values.items()
        if value is not None
    )
