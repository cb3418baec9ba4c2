"""Ctrl-C and SIGTERM: the first asks a campaign to stop and save, the second ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

DEBUG: ContextVar[bool] = ContextVar("DEBUG", default=False)
_RECEIVED: ContextVar[list[int] | None] = ContextVar("_RECEIVED", default=None)


def exit_on_signals() -> None:
    """Until a campaign runs there is nothing to save: end quietly with 130 or 143."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Gives a function that is true once SIGINT or SIGTERM has come."""
    received: list[int] = []
    _RECEIVED.set(received)

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        # not print: the handler may interrupt one
        os.write(2, b"\nevofool: stopping after the images in hand; once more ends it at once\n")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code() -> int:
    """130 after SIGINT, 143 after SIGTERM."""
    received = _RECEIVED.get()
    return 128 + (received[0] if received else signal.SIGINT)
