"""A work: one computation of an experiment, with an address that names its result.

The address is the sha256 of a canonical JSON (RFC 8785) of the work's kind, its version and those
of its fields that determine the result. In it, a net or data set is given by its digest, another
work by its own address, so that addresses form a Merkle tree. Paths, names, workers and budgets
are left out.
"""

from __future__ import annotations

import builtins
import dataclasses
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

import rfc8785
from pydantic import BaseModel

from evofool.errors import StoreError
from evofool.files import read_file, reason
from evofool.render.masks import Mask
from evofool.store import Check
from evofool.store.records.rows import Row as Row
from evofool.store.records.works import StoredRow

if TYPE_CHECKING:
    from evofool.experiments.engine.context import Context

T = TypeVar("T")
EXACT = 2**53
"""Up to here every whole number is a float64 as well; larger ones enter an address as text."""


def outside(**options: Any) -> Any:
    """A field of a work that does not determine its result: a path, a name, an array with a digest.

    It is no part of the address, of equality or of ``repr``. Where a work is only asked for its
    address, it may be left out.
    """
    options = {"default": None, **options}
    return field(compare=False, repr=False, metadata={"outside": True}, **options)


@dataclass(frozen=True)
class Artifact:
    """A file or folder that a work has made below the run folder, and finished.

    Attributes:
        name: what it is to the work: ``weights``, ``campaign``.
        digest: of its bytes, as `Work.digest_of` gives it.
    """

    name: str
    digest: str


@dataclass(frozen=True)
class Chunk:
    """Rows that are stored together, of a work that `Work.continues`.

    They are stored at once, with all that was sent to nets up to then: a work that is broken off
    goes on after its last chunk, and what it had sent since was sent in vain.
    """

    rows: Sequence[Row | StoredRow]


Output = Row | Artifact | Chunk
"""What `Work.run` yields."""


@dataclass(frozen=True, eq=False)
class Work(ABC):
    """One computation, such as an attack on a net: its fields determine the result.

    Subclasses are decorated with `work`. A field may be a number, a text, a truth, a pydantic
    model, an attack or another frozen dataclass, another work, or a tuple or mapping of these.
    Fields made by `outside` do not count.
    """

    kind: ClassVar[str]
    """Names the class in addresses and run folders: never give it to another."""
    version: ClassVar[int] = 1
    """Of the result: raised whenever the same fields lead to other rows, or rows change."""
    rows: ClassVar[tuple[type[Row], ...]]
    """Types of the rows that it finds."""
    makes: ClassVar[tuple[str, ...]] = ()
    """Names of its artifacts."""
    continues: ClassVar[bool] = False
    """Whether it goes on from its rows or checkpoints when it was broken off, or begins anew."""
    stays: ClassVar[bool] = False
    """Whether it is done in the process that owns the run folder, never in another one."""

    @abstractmethod
    def run(self, context: Context) -> Iterator[Output]:
        """Find it out, row by row.

        Args:
            context: nets, pictures, results of other works, counting, stopping.

        Raises:
            Interrupted: a stop was asked for.
            BudgetError: its budget is spent; the rows that it has yielded are stored, and it is not
                finished.
            EvofoolError: it cannot be done.
        """

    @property
    def images(self) -> int:
        """About how many images it sends through nets: a measure of how long it takes."""
        return 0

    @property
    def threads(self) -> int:
        """How many it takes, and so how many cores it is given where it is sent elsewhere."""
        return 1

    def place(self, artifact: str, called: str) -> str:
        """Where an artifact of a work that the plan calls `called` lies, below the run folder."""
        raise NotImplementedError(f"{self.kind} makes no {artifact}")

    def digest_of(self, artifact: str, path: Path) -> str:
        """The digest of an artifact as it lies in `path` now.

        Raises:
            StoreError: it is missing or cannot be read.
        """
        try:
            return hashlib.sha256(read_file(path)).hexdigest()
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({reason(error)})") from error

    def verify(self, context: Context) -> Iterator[Check]:
        """Check finished rows against what they are about; nothing by default."""
        yield from ()

    @cached_property
    def definition(self) -> str:
        """Canonical JSON of all that determines the result."""
        return canonical({"kind": self.kind, "version": self.version, "fields": _fields(self)})

    @cached_property
    def address(self) -> str:
        """Hex sha256 of `definition`."""
        return hashlib.sha256(self.definition.encode()).hexdigest()

    @cached_property
    def needs(self) -> tuple[Work, ...]:
        """The works that it stands on directly."""
        return tuple(dict.fromkeys(_works_in([getattr(self, f.name) for f in _inside(self)])))

    def __hash__(self) -> int:
        return hash(self.address)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Work) and self.address == other.address


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field, outside))
def work(cls: builtins.type[T]) -> builtins.type[T]:
    """Make a subclass of `Work` a frozen dataclass; two works of one address are equal."""
    return dataclass(frozen=True, eq=False)(cls)


def canonical(value: Any) -> str:
    """Plain values as canonical JSON (RFC 8785)."""
    return rfc8785.dumps(value).decode()


def _inside(value: Any) -> list[dataclasses.Field[Any]]:
    """Fields that decide the result: a younger one that is not set leaves addresses as they are."""
    return [
        f
        for f in dataclasses.fields(value)
        if not f.metadata.get("outside")
        and not (f.metadata.get("unless_set") and getattr(value, f.name) is None)
    ]


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(value, f.name)) for f in _inside(value)}


def _plain(value: Any) -> Any:
    """`value` as JSON values that are the same wherever it stands.

    Raises:
        TypeError: it has no such form.
    """
    if isinstance(value, Work):
        return {"work": value.address}
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mask):
        return _plain(value.identity())
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {"is": getattr(value, "name", None) or type(value).__name__}
        return {**named, **_fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} cannot be part of the address of a work")


def _works_in(values: Iterable[Any]) -> Iterator[Work]:
    for value in values:
        if isinstance(value, Work):
            yield value
        elif isinstance(value, Mapping):
            yield from _works_in(value.values())
        elif isinstance(value, tuple | list):
            yield from _works_in(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _works_in(getattr(value, f.name) for f in _inside(value))
