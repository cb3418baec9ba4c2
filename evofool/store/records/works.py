"""Works, their rows, what they made and what they have read, as ``run.sqlite`` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EXPERIMENT_TABLES: dict[str, str] = {
    # status, active seconds, pictures sent to services
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # one row a work that was begun; `definition` is what its address is the sha256 of
    "works": """CREATE TABLE works (
        address TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        definition TEXT NOT NULL,
        finished INTEGER NOT NULL,
        origin TEXT NOT NULL,
        queries INTEGER NOT NULL,
        forward_images INTEGER NOT NULL,
        backward_images INTEGER NOT NULL,
        seconds REAL NOT NULL,
        notes TEXT NOT NULL,
        versions TEXT NOT NULL) STRICT, WITHOUT ROWID""",
    # the results of a work, one row an item (a picture, a generation, a class)
    "rows": """CREATE TABLE rows (
        address TEXT NOT NULL,
        type TEXT NOT NULL,
        item INTEGER NOT NULL,
        content TEXT NOT NULL,
        png BLOB,
        PRIMARY KEY (address, type, item)) STRICT, WITHOUT ROWID""",
    # what a work made below the folder; without a digest it is not whole yet
    "artifacts": """CREATE TABLE artifacts (
        address TEXT NOT NULL,
        name TEXT NOT NULL,
        path TEXT NOT NULL UNIQUE,
        digest TEXT NOT NULL,
        PRIMARY KEY (address, name)) STRICT, WITHOUT ROWID""",
    # the artifacts of other works that a work has read, as they were then
    "reads": """CREATE TABLE reads (
        address TEXT NOT NULL,
        source TEXT NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (address, source, name)) STRICT, WITHOUT ROWID""",
}


@dataclass(frozen=True)
class Cost:
    """What running a work cost.

    Attributes:
        queries: images sent to nets for answers, judging included.
        forward_images: images that went forward, crops, padding and retries included.
        backward_images: images that gradients were taken of.
        seconds: active ones.
    """

    queries: int = 0
    forward_images: int = 0
    backward_images: int = 0
    seconds: float = 0.0

    @property
    def forward_equivalents(self) -> int:
        """Images forward plus twice the images that gradients were taken of."""
        return self.forward_images + 2 * self.backward_images

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.queries + other.queries,
            self.forward_images + other.forward_images,
            self.backward_images + other.backward_images,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True)
class WorkRow:
    """A work as it is stored.

    Attributes:
        address: hex sha256 of `definition`.
        kind: of the work.
        version: of its rows.
        definition: canonical JSON.
        finished: whether all of its rows are there.
        origin: id of the run that it was taken over from, or empty.
        cost: what it took, in the run that did it.
        notes: for people.
        versions: of the libraries it was done with.
    """

    address: str
    kind: str
    version: int
    definition: str
    finished: bool = False
    origin: str = ""
    cost: Cost = field(default_factory=Cost)
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredRow:
    """A row as it is stored: its type, the number of its item, JSON, and a picture or None."""

    type: str
    item: int
    content: str
    png: bytes | None = None


@dataclass(frozen=True)
class ArtifactRow:
    """A file or folder that a work made.

    Attributes:
        address: of the work.
        name: what it is to the work: ``weights``, ``campaign``.
        path: file or folder, relative to the run folder.
        digest: of its bytes; empty while it is being made.
    """

    address: str
    name: str
    path: str
    digest: str


@dataclass(frozen=True)
class Read:
    """An artifact of another work that a work has used."""

    source: str
    name: str
    digest: str
