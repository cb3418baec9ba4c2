"""Signals: the first asks a campaign to stop and save, the second ends it at once.

Ctrl-C (SIGINT), SIGTERM, and SIGHUP of a terminal that is closed. Of that one several may come at
once, from the shell and from the system, and nobody is left to ask twice: only the first counts.
Where it is ignored from the start, as under nohup, it stays so.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

DEBUG: ContextVar[bool] = ContextVar("DEBUG", default=False)
_RECEIVED: ContextVar[list[int] | None] = ContextVar("_RECEIVED", default=None)
_HANGUP = getattr(signal, "SIGHUP", None)
"""None on Windows, which has no such signal."""
_STOPPING = b"\nevofool: stopping after the images in hand; once more ends it at once\n"


class EndedBySignal(BaseException):
    """A signal came while there was nothing to save.

    It is no SystemExit: that one may come from the code of a victim, whose fault it then is.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def exit_on_signals() -> None:
    """Until a campaign runs there is nothing to save: `EndedBySignal` ends the process quietly."""

    def leave(number: int, _: FrameType | None) -> None:
        raise EndedBySignal(number)

    for number in _numbers():
        signal.signal(number, leave)


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Gives a function that is true once one of the signals has come."""
    received: list[int] = []
    _RECEIVED.set(received)

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_IGN if number == _HANGUP else signal.SIG_DFL)
        with contextlib.suppress(OSError):  # nobody may be left to read it
            os.write(2, _STOPPING)  # not print: the handler may interrupt one

    before = {number: signal.signal(number, note) for number in _numbers()}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code() -> int:
    """129 after SIGHUP, 130 after SIGINT, 143 after SIGTERM."""
    received = _RECEIVED.get()
    return 128 + (received[0] if received else signal.SIGINT)


def _numbers() -> list[int]:
    numbers: list[int] = [signal.SIGINT, signal.SIGTERM]
    if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
        numbers.append(_HANGUP)
    return numbers
