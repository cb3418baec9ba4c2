"""Progress: a bar on a terminal, one plain line every few seconds elsewhere, both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from evofool.text import percent

if TYPE_CHECKING:
    from evofool.evolution.campaign import OnProgress, Progress
    from evofool.training import TrainProgress

PLAIN_SECONDS = 5.0
"""Least time between two plain lines."""


@contextmanager
def watch_campaign() -> Iterator[OnProgress]:
    """Shows generation, images/s, cells won, median and best confidence, time left."""
    with _shown("loading the classifier") as show:
        yield lambda p: show(_campaign_line(p), p.share_done)


@contextmanager
def watch_training() -> Iterator[Callable[[TrainProgress], None]]:
    """Shows epoch, loss, test accuracy, time left."""
    with _shown("loading the data") as show:
        yield lambda p: show(_training_line(p), p.step / p.steps)


Show = Callable[[str, float | None], None]


@contextmanager
def _shown(first: str) -> Iterator[Show]:
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (SpinnerColumn(), BarColumn(12), TextColumn("{task.description}"))
        with Bar(*columns, console=console, transient=False) as bar:
            task = bar.add_task(first, total=None)

            def draw(text: str, share: float | None) -> None:
                bar.update(task, description=text, total=1.0 if share is not None else None)
                bar.update(task, completed=share or 0.0)

            yield draw
        return
    print(first, file=sys.stderr, flush=True)
    last = -PLAIN_SECONDS
    latest = ""

    def line(text: str, share: float | None) -> None:
        nonlocal last, latest
        latest = text
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS:
            last, latest = now, ""
            print(text, file=sys.stderr, flush=True)

    yield line
    if latest:
        print(latest, file=sys.stderr, flush=True)


def _campaign_line(p: Progress) -> str:
    parts = [f"generation {p.generation}", f"{p.evaluations:,} images {p.images_per_second:.0f}/s"]
    if p.seconds_left is not None:  # early: a narrow terminal cuts the end
        parts.append(f"{duration(p.seconds_left)} left")
    parts.append(f"won {p.cells_won}/{p.cells}")
    parts.append(f"median {percent(p.median)}, best {percent(p.best)}")
    return "  ".join(parts)


def _training_line(p: TrainProgress) -> str:
    left = p.seconds / p.step * (p.steps - p.step)
    text = f"epoch {p.epoch}/{p.epochs}  loss {p.loss:.4f}"
    if p.test_accuracy is not None:
        text += f"  test accuracy {p.test_accuracy:.2%}"
    return f"{text}  {duration(left)} left"


def duration(seconds: float) -> str:
    """``42 s``, ``3:05``, ``2:03:04``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
