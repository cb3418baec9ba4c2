"""A campaign in lines of text: before it runs, while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.config import yaml_lines
from evofool.store import Result
from evofool.text import counted, duration, percent, rate, sent_line

if TYPE_CHECKING:
    from evofool.evolution.campaign import Progress
    from evofool.evolution.setup import Plan


def plan_lines(plan: Plan) -> list[str]:
    """The resolved config, then what stands in the way of running it."""
    images = "until a stop rule applies" if plan.evaluations is None else f"{plan.evaluations:,}"
    return [*yaml_lines(plan.config), *plan.classifier.lines(f"images to be scored: {images}")]


def progress() -> Callable[[Progress], tuple[str, float | None]]:
    """Gives generation, images/s, time left, cells won, median and best confidence in a line."""
    return lambda p: (_progress_line(p), p.share_done)


def _progress_line(p: Progress) -> str:
    parts = [
        f"generation {p.generation}",
        f"{counted(p.evaluations, 'image')} {p.images_per_second:.0f}/s",
    ]
    if p.seconds_left is not None:  # early: a narrow terminal cuts the end
        parts.append(f"{duration(p.seconds_left)} left")
    parts.append(f"won {p.cells_won}/{p.cells}")
    parts.append(f"median {percent(p.median)}, best {percent(p.best)}")
    return "  ".join(parts)


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """What a campaign came to, and where to look at it."""
    s = result.summary
    lines = [
        f"{s['cells_won']} of {counted(s['cells'], 'class', 'classes')} won, median confidence"
        f" {percent(s['confidence']['median'])}, best {percent(s['confidence']['max'])}"
    ]
    shares = ", ".join(
        f"{round(share * s['cells'])} at {t}" for t, share in s["share_at"].items() if share
    )
    if shares:
        lines.append(f"classes by confidence: {shares}")
    if held_back := s.get("held_back"):
        lines.append(held_back_line(held_back))
    lines.append(
        f"{counted(s['evaluations'], 'image')} in {duration(s['seconds'])}"
        f" ({s['images_per_second']:.0f}/s), archive {s['archive_digest'][:16]}"
    )
    if s["unscored"]:
        lines.append(f"{counted(s['unscored'], 'picture')} got no usable scores and won nothing")
    if s["sent"]["total"] != s["evaluations"]:
        lines.append(f"pictures sent to the victim: {sent_line(s['sent'])}")
    return lines + [f"{'look at' if k == 0 else '       '} {page}" for k, page in enumerate(pages)]


def held_back_line(held_back: Mapping[str, Any]) -> str:
    """Success under held-back transforms, as a summary has it, in a line."""
    pictures = held_back["pictures"]
    share, low, high = (rate(held_back[key], pictures) for key in ("rate", "low", "high"))
    return (
        f"under {counted(held_back['transforms'], 'held-back transform')} the class is the answer"
        f" {share} of the time (95 % interval {low} to {high}); {held_back['under_all']} of"
        f" {pictures} under all"
    )
