"""Progress: a bar on a terminal, one plain line every few seconds elsewhere, both on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from evofool.cli.terminal import remark
from evofool.text import counted, inert, percent

if TYPE_CHECKING:
    from evofool.evolution.campaign import OnProgress, Progress
    from evofool.experiments.engine.progress import ExperimentProgress, Tally
    from evofool.training import TrainProgress

PLAIN_SECONDS = 5.0
"""Least time between two plain lines."""


@contextmanager
def watch_campaign() -> Iterator[OnProgress]:
    """Shows generation, images/s, cells won, median and best confidence, time left."""
    with _shown("loading the classifier") as show:
        yield lambda p: show(_campaign_line(p), p.share_done)


@contextmanager
def watch_attacks() -> Iterator[Callable[[ExperimentProgress], None]]:
    """Shows the attack, its images done and fooled, queries, time left."""
    with _shown("loading the classifier") as show:

        def draw(p: ExperimentProgress) -> None:
            if p.tally is not None:  # between attacks there is nothing to tell
                show(_attack_line(p, p.tally), p.share_done)

        yield draw


@contextmanager
def watch_defense() -> Iterator[Callable[[ExperimentProgress], None]]:
    """Shows the step, how many are done, time left."""
    with _shown("loading the nets and the data") as show:
        yield lambda p: show(_defense_line(p), p.share_done)


@contextmanager
def watch_training() -> Iterator[Callable[[TrainProgress], None]]:
    """Shows epoch, loss, accuracies, time left; the test's stay until the next epoch's end."""
    with _shown("loading the data") as show:
        measured = ""

        def draw(p: TrainProgress) -> None:
            nonlocal measured
            measured = _measured(p) or measured
            show(_training_line(p, measured), p.step / p.steps)

        yield draw


@contextmanager
def watch_gallery() -> Iterator[Show]:
    """Shows what is being drawn, and how much of it is done."""
    with _shown("opening the run") as show:
        yield show


@contextmanager
def watch_checkup() -> Iterator[Show]:
    """Shows what is being looked at."""
    with _shown("looking at this machine") as show:
        yield show


Show = Callable[[str, float | None], None]


@contextmanager
def _shown(first: str) -> Iterator[Show]:
    console = Console(stderr=True)
    if console.is_terminal:
        # folders and attacks are anybody's to name: no markup
        text = TextColumn("{task.description}", markup=False)
        columns = (SpinnerColumn(), BarColumn(12), text)
        with Bar(*columns, console=console, transient=False) as bar:
            task = bar.add_task(first, total=None)

            def draw(text: str, share: float | None) -> None:
                bar.update(task, description=inert(text), total=1.0 if share is not None else None)
                bar.update(task, completed=share or 0.0)

            yield draw
        return
    remark(first)
    last = -PLAIN_SECONDS
    latest = ""

    def line(text: str, share: float | None) -> None:
        nonlocal last, latest
        latest = text
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS:
            last, latest = now, ""
            remark(text)

    yield line
    if latest:
        remark(latest)


def _campaign_line(p: Progress) -> str:
    parts = [
        f"generation {p.generation}",
        f"{counted(p.evaluations, 'image')} {p.images_per_second:.0f}/s",
    ]
    if p.seconds_left is not None:  # early: a narrow terminal cuts the end
        parts.append(f"{duration(p.seconds_left)} left")
    parts.append(f"won {p.cells_won}/{p.cells}")
    parts.append(f"median {percent(p.median)}, best {percent(p.best)}")
    return "  ".join(parts)


def _attack_line(p: ExperimentProgress, tally: Tally) -> str:
    parts = [p.step, f"{tally.done}/{counted(tally.of, 'image')}"]
    if p.seconds_left is not None:
        parts.append(f"{duration(p.seconds_left)} left")
    if tally.hits:
        parts.append(f"fooled {tally.hits}")
    return "  ".join([*parts, counted(p.queries, "query", "queries")])


def _defense_line(p: ExperimentProgress) -> str:
    parts = [f"{p.done}/{p.steps}"] if p.steps else []
    if p.seconds_left is not None:  # early: a narrow terminal cuts the end
        parts.append(f"{duration(p.seconds_left)} left")
    return "  ".join([*parts, p.step])


def _training_line(p: TrainProgress, measured: str) -> str:
    whose = "teacher, " if p.teacher else ""
    parts = [f"{whose}epoch {p.epoch}/{p.epochs}", f"{duration(p.seconds_left)} left"]
    parts.append(f"loss {p.loss:.4f}")
    if p.accuracy is not None:
        parts.append(f"accuracy {p.accuracy:.1%}")
    if p.resumed_at and p.step == p.resumed_at + 1:
        parts.append(f"going on from step {p.resumed_at}")
    return "  ".join([*parts, measured] if measured else parts)


def _measured(p: TrainProgress) -> str:
    if p.test_accuracy is None:
        return ""
    text = f"test {p.test_accuracy:.2%}"
    if p.adversarial_accuracy is not None:
        text += f"  attacked {p.adversarial_accuracy:.1%}"
    return text


def duration(seconds: float) -> str:
    """``42 s``, ``3:05``, ``2:03:04``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
