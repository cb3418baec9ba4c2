"""Progress: a bar on a terminal, one plain line every few seconds elsewhere, both on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evofool.cli.terminal import remark
from evofool.text import inert

if TYPE_CHECKING:
    from evofool.kinds import Kind

PLAIN_SECONDS = 5.0
"""Least time between two plain lines."""


@contextmanager
def watch_run(kind: Kind) -> Iterator[Callable[[Any], None]]:
    """Shows what a run of `kind` reports, in the kind's own line."""
    line = kind.part("progress")()
    with _shown(kind.begins) as show:
        yield lambda event: show(*line(event))


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
    from rich.console import Console  # here: most commands show no bar
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

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
