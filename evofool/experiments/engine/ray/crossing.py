"""What travels between the driver of an experiment and a task that does one of its works."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, Self

from evofool.errors import StoreError
from evofool.experiments.engine.progress import Tally
from evofool.experiments.engine.work import Work
from evofool.files import is_file, read_file, reason
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.works import ArtifactRow, Cost, Read, StoredRow, WorkRow
from evofool.training import TrainProgress

OWN = ("run.sqlite", "manifest.json", "config.yaml", ".lock")
"""What begins the names of files of a run folder that belong to no work."""
LOCK = ".lock"
Files = Sequence[tuple[str, bytes]]
"""Paths relative to the run folder, with contents."""


@dataclass(frozen=True)
class Request:
    """A work on its way to a task, as JSON.

    Attributes:
        address: of the work.
        kind: of the experiment.
        config: of it, as the run folder holds it.
        manifest: of the run.
        meta: of it: roles, which a study may ask for.
        folder: the run folder's path, for messages.
        command: the command line.
        share: most queries of the work over all processes, or None.
        budget: of the run, or None.
        spent: queries that earlier processes have sent for it.
        versions: of the libraries of the driver.
    """

    address: str
    kind: str
    config: str
    manifest: dict[str, Any]
    meta: dict[str, str]
    folder: str
    command: str | None
    share: int | None
    budget: int | None
    spent: int
    versions: dict[str, str]

    def to_json(self) -> str:
        """As it crosses."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """As it arrives."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Bundle:
    """A work's results as the driver stores them: of one that is finished, or was broken off.

    Attributes:
        work: with its costs.
        rows: all that it has yielded.
        artifacts: with the places where they lie.
        reads: artifacts of others that it used.
        files: below these places.
    """

    work: WorkRow
    rows: tuple[StoredRow, ...]
    artifacts: tuple[ArtifactRow, ...]
    reads: tuple[Read, ...]
    files: Files = field(repr=False)

    @classmethod
    def of(cls, run: ExperimentFolder, work: Work) -> Bundle | None:
        """What a run folder holds of a work; None if it was never begun.

        Raises:
            StoreError: it cannot be read.
        """
        stored = run.work(work.address)
        if stored is None:
            return None
        rows = [row for type in run.types(work.address) for row in run.rows(work.address, type)]
        artifacts = run.artifacts(work.address)
        files = dict(file for a in artifacts for file in files_at(run.path, a.path))
        return cls(
            stored,
            tuple(rows),
            tuple(artifacts),
            tuple(run.reads(work.address)),
            tuple(files.items()),
        )

    def unpack(self, run: ExperimentFolder) -> None:
        """Put it into another run folder."""
        for name, data in self.files:
            run.write_file(name, data, durable=False)
        run.begin(self.work, self.artifacts)
        run.commit(self.work, self.rows, self.artifacts, self.reads)


@dataclass(frozen=True)
class State:
    """What a running work has come to.

    Attributes:
        cost: of it in this process; the seconds are for whoever waits.
        notes: for people.
        reads: artifacts of others that it used.
    """

    cost: Cost
    notes: tuple[str, ...]
    reads: tuple[Read, ...]


@dataclass(frozen=True)
class Started:
    """The work is at hand, in a process of this machine, with these versions of libraries."""

    versions: Mapping[str, str]
    host: str
    pid: int


@dataclass(frozen=True)
class Progress:
    """How far it is: images reached, images asked for since the last time, what it has come to."""

    state: State
    reached: int | None
    asked: int
    tally: Tally | None
    training: TrainProgress | None


@dataclass(frozen=True)
class Found:
    """Rows, together if they are a chunk."""

    state: State
    rows: tuple[StoredRow, ...]
    together: bool


@dataclass(frozen=True)
class Changed:
    """Files that were written below the run folder, or removed."""

    files: Files = field(repr=False)
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """An artifact is whole; its files have been sent."""

    state: State
    name: str
    digest: str


@dataclass(frozen=True)
class Ended:
    """All is done, or has failed with an error of evofool's: its class and message."""

    state: State
    error: type[Exception] | None = None
    message: str = ""


Message = Started | Progress | Found | Changed | Made | Ended
"""What a task yields."""


def files_at(root: Path, place: str) -> Iterator[tuple[str, bytes]]:
    """What lies at a place below `root`, a file or a folder; links are not followed.

    A file brings with it those beside it that are called the same but for the ending, such as a
    checkpoint.

    Raises:
        StoreError: a file cannot be read.
    """
    path = root / place
    try:
        if path.is_dir() and not path.is_symlink():
            found = sorted(each for each in path.rglob("*") if is_plain(each))
        elif path.parent.is_dir():
            found = sorted(
                each for each in path.parent.glob(f"{escape(path.stem)}.*") if is_plain(each)
            )
        else:
            found = []
        for each in found:
            yield each.relative_to(root).as_posix(), read_file(each)
    except OSError as error:
        raise StoreError(f"{path}: cannot be sent ({reason(error)})") from error


def is_plain(path: Path) -> bool:
    """Whether it is a file of a run that is worth sending."""
    return is_file(path) and not path.is_symlink() and path.name != LOCK
