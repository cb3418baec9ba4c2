"""Faults that conformance tests find, collected so that one error tells all of them."""

from __future__ import annotations

import textwrap
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Fault:
    """One thing that does not conform.

    Attributes:
        what: it is, on one line.
        detail: what was seen, as `numpy.testing` reports it where arrays are compared.
        mend: what to change.
    """

    what: str
    detail: str
    mend: str

    def __str__(self) -> str:
        detail = textwrap.indent(self.detail.strip(), "   ")
        mend = textwrap.fill(
            f"to fix: {self.mend}", 96, initial_indent="   ", subsequent_indent="   "
        )
        return "\n".join(filter(None, (self.what, detail, mend)))


class ConformanceError(AssertionError):
    """What was tested does not conform; `faults` are all that were found."""

    def __init__(self, subject: str, faults: Sequence[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
        listed = "\n\n".join(f"{n}. {fault}" for n, fault in enumerate(faults, 1))
        super().__init__(f"{subject} does not conform: {count}\n\n{listed}")


class Faults:
    """The faults of one subject so far."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.found: list[Fault] = []

    def add(self, what: str, detail: str, mend: str) -> None:
        """Note a fault, once."""
        if all(fault.what != what for fault in self.found):
            self.found.append(Fault(what, detail, mend))

    @contextmanager
    def expecting(self, what: str, mend: str) -> Iterator[None]:
        """A block whose assertions hold, or else `what` is a fault; so is any other exception."""
        try:
            yield
        except AssertionError as error:
            if _inside(error):
                self.add(what, str(error), mend)
            else:  # an assertion of the code that is tested
                self._raised(error)
        except Exception as error:  # what is tested is a stranger's: it may raise anything
            self._raised(error)

    def stop_if_any(self) -> None:
        """Raise what was found so far: nothing further can be tested with it."""
        if self.found:
            raise ConformanceError(self.subject, self.found)

    def _raised(self, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        asked = next((f for f in reversed(frames) if Path(f.filename).parent == _HERE), frames[0])
        last = frames[-1]
        self.add(
            f"it raises {type(error).__name__} at `{asked.line}`",
            f"{error}\nat {last.filename}:{last.lineno}: {last.line}",
            "make this call work: it is one that evofool makes",
        )


def _inside(error: BaseException) -> bool:
    """Whether an assertion is of these tests (or numpy's, for them), not of what is tested."""
    frames = [Path(f.filename) for f in traceback.extract_tb(error.__traceback__)]
    ours = max((n for n, frame in enumerate(frames) if frame.parent == _HERE), default=0)
    return all(
        "numpy" in frame.parts or frame.name == "contextlib.py" for frame in frames[ours + 1 :]
    )
