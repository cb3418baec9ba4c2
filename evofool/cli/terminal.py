"""Where the command line writes: answers to stdout, all else to stderr, every line of it inert.

Victims, encodings and libraries print whenever they like, also from threads and from C++
(onnxruntime does). So descriptor 1 is pointed at stderr once, before any of them is loaded, and
answers go to a descriptor that nobody else has: what a command answers is only what it answers.

What cannot be written to stderr is dropped: a full disk or a terminal that was closed must not end
a campaign. What cannot be written to stdout is an error, since it was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

from evofool.errors import EvofoolError
from evofool.text import inert

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ANSWERS: ContextVar[TextIO | None] = ContextVar("_ANSWERS", default=None)


class OutputError(EvofoolError):
    """Standard output cannot be written; empty where its reader has left, which needs no words."""


def answer(*lines: str) -> None:
    """Print lines to stdout; what a terminal could obey is shown as its escape.

    Raises:
        OutputError: they cannot be written.
    """
    stream = _ANSWERS.get() or sys.stdout
    if stream is None:  # closed by whoever started us
        return
    try:
        stream.writelines(f"{inert(line)}\n" for line in lines)
        stream.flush()
    except OSError as error:
        raise _output_error(error) from error


def remark(*lines: str) -> None:
    """Print lines to stderr, or drop them where that cannot be."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.writelines(f"{inert(line)}\n" for line in lines)
        sys.stderr.flush()


def _output_error(error: OSError) -> OutputError:
    """`error` of stdout, in words."""
    left = error.errno == errno.EPIPE
    return OutputError("" if left else f"standard output cannot be written ({error.strerror})")


def take_over() -> None:
    """Once, at the start of the process and before any thread: who writes where, from now on."""
    _fill_closed()
    closed = sys.stdout is None
    answers = os.open(os.devnull, os.O_WRONLY) if closed else os.dup(1)
    os.dup2(2, 1)
    remarks = _stream(2, sys.stderr, lambda _: None)
    sys.stdout = _stream(answers, sys.stdout, _refuse)
    sys.stderr = sys.__stderr__ = sys.__stdout__ = remarks  # type: ignore[misc]
    logger = logging.getLogger("evofool")
    logger.addHandler(_Remarks())
    logger.propagate = False


def give_up() -> None:
    """After an `OutputError`: drop what is still to be written, so that the process can end."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """While a command runs ``sys.stdout`` is anybody's and leads to stderr; `answer` writes on."""
    token = _ANSWERS.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _ANSWERS.reset(token)


class _Remarks(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        remark(f"evofool: {record.getMessage()}")


class _Descriptor(io.RawIOBase):
    """A descriptor to write to; where that fails, `failed` is told, and what was to be written is
    dropped unless it raises."""

    def __init__(self, descriptor: int, failed: Callable[[OSError], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._failed = failed

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            self._failed(error)
            return memoryview(data).nbytes


def _refuse(error: OSError) -> None:
    raise _output_error(error) from error


def _stream(
    descriptor: int, before: TextIO | None, failed: Callable[[OSError], None]
) -> io.TextIOWrapper:
    encoding = "utf-8" if before is None else before.encoding
    raw = io.BufferedWriter(_Descriptor(descriptor, failed))
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=True)


def _fill_closed() -> None:
    """Open what is closed of 0, 1, 2: the next file, such as a database, would get its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
