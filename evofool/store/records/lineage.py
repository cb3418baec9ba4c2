"""The tables of ``run.sqlite`` and the rows that go in and out of them."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST = 2**53
"""Largest count: up to here every whole number is a float64 as well."""
MOST_PARENTS = 2


class IndividualId(NamedTuple):
    """Child `child` of `generation`; the initial population is generation 0. Written ``g:i``."""

    generation: int
    child: int

    def __str__(self) -> str:
        return f"{self.generation}:{self.child}"

    @classmethod
    def parse(cls, text: str) -> IndividualId:
        """The inverse of ``str``; raises ``ValueError`` on anything else."""
        if not re.fullmatch(r"[0-9]{1,18}:[0-9]{1,18}", text):
            raise ValueError(f"{text[:60]!r} is not an individual g:i")
        generation, _, child = text.partition(":")
        return cls(int(generation), int(child))


TABLES: dict[str, str] = {
    # status, active seconds and the like
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # one row a generation, the initial one included; `stats` is a JSON object
    "generations": """CREATE TABLE generations (
        generation INTEGER PRIMARY KEY,
        evaluations INTEGER NOT NULL,
        forward_images INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        seconds REAL NOT NULL,
        stats TEXT NOT NULL) STRICT""",
    # everyone who ever won a cell; the genome is kept while a cell or the population holds it
    "individuals": """CREATE TABLE individuals (
        generation INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        parents TEXT NOT NULL,
        parent_cells TEXT NOT NULL,
        sha256 BLOB NOT NULL,
        genome BLOB,
        PRIMARY KEY (generation, idx)) STRICT, WITHOUT ROWID""",
    # which cells it won, over whom, and how sure the victim was
    "wins": """CREATE TABLE wins (
        generation INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        class_index INTEGER NOT NULL,
        log_odds REAL NOT NULL,
        confidence REAL NOT NULL,
        replaced TEXT NOT NULL,
        PRIMARY KEY (generation, idx, class_index)) STRICT, WITHOUT ROWID""",
    # the champion archive: one row a filled cell
    "elites": """CREATE TABLE elites (
        class_index INTEGER PRIMARY KEY,
        generation INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        fitness REAL NOT NULL,
        log_odds REAL NOT NULL,
        confidence REAL NOT NULL,
        won INTEGER NOT NULL) STRICT""",
    # what an algorithm needs beside the archive to go on, as npz arrays
    "state": "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
    # only rows that hold a genome, so that freeing them never scans the lineage
    "held": "CREATE INDEX held ON individuals (generation, idx) WHERE genome IS NOT NULL",
}


@dataclass(frozen=True)
class Column:
    """What a column may hold: values of a type, numbers from `least` to `most` (and no NaN).

    Blobs and texts that `size` is given for have that many bytes or characters.
    """

    name: str
    type: type | tuple[type, ...]
    least: float = -math.inf
    most: float = math.inf
    size: int | None = None

    def fault(self, value: object) -> str:
        """What is wrong with `value`, "" where nothing is."""
        if not isinstance(value, self.type):
            return f"a {self.name} of the wrong type"
        if isinstance(value, int | float) and not self.least <= value <= self.most:
            return f"a {self.name} outside its range ({value:g})"
        if self.size is not None and isinstance(value, str | bytes) and len(value) != self.size:
            return f"a {self.name} of {len(value)} bytes instead of {self.size}"
        return ""


_COLUMNS = {
    column.name: column
    for column in (
        Column("generation", int, 0, MOST),
        Column("evaluations", int, 1, MOST),
        Column("forward_images", int, 0, MOST),
        Column("batch", int, 1, 65536),
        Column("seconds", float, 0, sys.float_info.max),
        Column("stats", str),
        Column("idx", int, 0, MOST),
        Column("parents", str),
        Column("parent_cells", str),
        Column("sha256", bytes, size=32),
        Column("genome", (bytes, type(None))),
        Column("class_index", int, 0, 2**31 - 1),
        Column("log_odds", float),
        Column("confidence", float, 0, 1),
        Column("replaced", str),
        Column("fitness", float),
        Column("won", int, 0, 1),
    )
}


def columns(*names: str) -> tuple[Column, ...]:
    """What these columns may hold, in whichever table they are."""
    return tuple(_COLUMNS[name] for name in names)


def individual_row(
    generation: int, child: int, parents: str, cells: str, sha256: bytes, genome: bytes | None
) -> IndividualRow:
    """A row of ``individuals`` as it is stored; raises ``ValueError`` if it is damaged."""
    if max(parents.count(" "), cells.count(" ")) >= MOST_PARENTS:
        raise ValueError(f"more than {MOST_PARENTS} parents")
    ids = tuple(IndividualId.parse(part) for part in parents.split(" ") if parents)
    if any(not re.fullmatch(r"[0-9]{1,10}", cell) for cell in cells.split(" ") if cells):
        raise ValueError("a parent's class is not a number")
    parent_cells = tuple(int(cell) for cell in cells.split())
    return IndividualRow(IndividualId(generation, child), ids, parent_cells, sha256, genome)


@dataclass(frozen=True)
class IndividualRow:
    """One individual that won a cell; `genome` is its canonical dump, None once it was freed."""

    id: IndividualId
    parents: tuple[IndividualId, ...]
    parent_cells: tuple[int, ...]
    sha256: bytes
    genome: bytes | None


@dataclass(frozen=True)
class WinRow:
    """`id` took the cell of `class_index` from `replaced` (None: it was empty)."""

    id: IndividualId
    class_index: int
    log_odds: float
    confidence: float
    replaced: IndividualId | None


@dataclass(frozen=True)
class EliteRow:
    """The present elite of a class; `won` says that the class is also its top-1."""

    class_index: int
    id: IndividualId
    fitness: float
    log_odds: float
    confidence: float
    won: bool


@dataclass(frozen=True)
class GenerationRow:
    """Counts up to and including this generation, and its statistics."""

    generation: int
    evaluations: int
    forward_images: int
    batch: int
    seconds: float
    stats: dict[str, Any]


@dataclass
class Delta:
    """All that changed since the last transaction; written by one."""

    generations: list[GenerationRow] = field(default_factory=list)
    individuals: Iterable[IndividualRow] = ()
    """Drawn once, while the transaction is written: a genome need not stay in memory."""
    wins: list[WinRow] = field(default_factory=list)
    elites: dict[int, EliteRow] = field(default_factory=dict)
    state: dict[str, bytes] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
