"""Works that need no net: numbers, sums of numbers, and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from evofool.errors import ScoringError
from evofool.experiments.engine import (
    Artifact,
    Context,
    Plan,
    Planned,
    Row,
    Work,
    outside,
    work,
)

RAN: list[str] = []
"""Names of the works that were run, in order."""


@dataclass(frozen=True)
class Value(Row):
    type: ClassVar[str] = "value"

    value: int


@work
class Count(Work):
    """The numbers from 0 on, one row each; may be made to fail or to be stopped after some."""

    kind: ClassVar[str] = "count"
    rows: ClassVar[tuple[type[Row], ...]] = (Value,)

    upto: int
    fails: Callable[[int], None] | None = outside(default=None)

    def run(self, context: Context) -> Iterator[Row]:
        RAN.append(f"count {self.upto}")
        for n in range(self.upto):
            if self.fails is not None:
                self.fails(n)
            yield Value(n, n, png=bytes([n]))


@work
class PatientCount(Count):
    """The same, which goes on from the rows that it has."""

    kind: ClassVar[str] = "patient-count"
    continues: ClassVar[bool] = True

    def run(self, context: Context) -> Iterator[Row]:
        done = context.finished_items(Value)
        RAN.append(f"patient {self.upto} from {len(done)}")
        for n in range(len(done), self.upto):
            if self.fails is not None:
                self.fails(n)
            yield Value(n, n)


@work
class Sum(Work):
    """The sum of the numbers that other works have found."""

    kind: ClassVar[str] = "sum"
    rows: ClassVar[tuple[type[Row], ...]] = (Value,)

    of: tuple[Work, ...]

    def run(self, context: Context) -> Iterator[Row]:
        RAN.append("sum")
        yield Value(0, sum(row.value for each in self.of for row in context.rows(each, Value)))


@work
class Note(Work):
    """A file."""

    kind: ClassVar[str] = "note"
    rows: ClassVar[tuple[type[Row], ...]] = ()
    makes: ClassVar[tuple[str, ...]] = ("text",)

    topic: str
    text: str = outside(default="")

    def place(self, artifact: str, called: str) -> str:
        return f"notes/{called}.txt"

    def run(self, context: Context) -> Iterator[Artifact]:
        RAN.append(f"note {self.topic}")
        path = context.place("text")
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.text or self.topic, encoding="utf-8")
        yield Artifact("text", self.digest_of("text", path))


@work
class Length(Work):
    """Of a note."""

    kind: ClassVar[str] = "length"
    rows: ClassVar[tuple[type[Row], ...]] = (Value,)

    note: Note

    def run(self, context: Context) -> Iterator[Row]:
        RAN.append("length")
        text = context.artifact(self.note, "text").read_text(encoding="utf-8")
        yield Value(0, len(text))


def failing(at: int, error: type[Exception] = ScoringError) -> Callable[[int], None]:
    """Raises when number `at` is reached."""

    def fail(n: int) -> None:
        if n == at:
            raise error("it broke")

    return fail


def planned(*works: Work) -> Plan:
    """A plan that calls its works ``0``, ``1``..."""
    return Plan([Planned(f"{w.kind} {k}", w, str(k)) for k, w in enumerate(works)])
