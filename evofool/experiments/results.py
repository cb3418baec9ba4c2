"""The results of a run, typed: its pictures, and its table as records or as a pandas DataFrame.

`evofool.evolve`, `attack`, `defend` and `resume` return one of these; `open_run` gives the same for
an existing folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evofool.errors import DamagedError, FolderError, ImageError, StoreError, UsageError
from evofool.experiments.records import (
    AttackRecord,
    ClaimRecord,
    CostRecord,
    EliteRecord,
    MethodRecord,
    NetRecord,
    ThreatRecord,
    frame,
    read_records,
)
from evofool.files import is_file, is_folder, read_file, reason
from evofool.images import UInt8Images, decode_png
from evofool.kinds import Kind
from evofool.store import CampaignFolder, Folder, Result
from evofool.store.files import read_json
from evofool.store.manifest import MANIFEST, check_manifest

if TYPE_CHECKING:
    import pandas
    from _typeshed import DataclassInstance

_PICTURE = re.compile(r"images/[0-9-]{1,64}\.png")
"""What a table may call a picture: the folder may come from anyone."""


@dataclass(frozen=True)
class Elite:
    """The best picture that a campaign of evolution has for one class.

    Attributes:
        class_index: the class.
        label: its name.
        confidence: the victim's confidence in it, on [0, 1].
        genome: the genome from which the encoding drew the picture.
        pixels: C x H x W, uint8, as they were scored.
        provenance: what the saved picture says about itself: victim, seed, run, generation...
    """

    class_index: int
    label: str
    confidence: float
    genome: Any
    pixels: UInt8Images = field(repr=False)
    provenance: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Run(Result):
    """A run that has ended or was interrupted. You can pass it wherever its path is expected.

    Attributes:
        path: the run folder.
        summary: the content of ``summary.json``; empty before there is one.
    """

    KIND: ClassVar[str] = ""
    _RECORD: ClassVar[type[DataclassInstance] | None] = None

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    @property
    def kind(self) -> str:
        """``evolve``, ``attack``, ``defend``, ``retrain``, ``costs``..."""
        return self.KIND or str(self.summary.get("kind", ""))

    def images(self) -> UInt8Images:
        """The pictures of the run, N x C x H x W, uint8, in the order of `results`.

        Raises:
            UsageError: runs of this kind have no pictures of their own.
        """
        raise UsageError(f"{self.path}: a run of kind {self.kind} has no pictures of its own")

    def results(self) -> tuple[DataclassInstance, ...]:
        """The table of the run as typed records, one per line.

        Raises:
            UsageError: runs of this kind have no such table.
        """
        raise UsageError(f"{self.path}: a run of kind {self.kind} has no known table")

    def to_frame(self) -> pandas.DataFrame:
        """`results` as a pandas DataFrame.

        Raises:
            UsageError: pandas is not installed; else as `results`.
        """
        records = self.results()
        assert self._RECORD is not None
        return frame(records, self._RECORD)


@dataclass(frozen=True)
class EvolveRun(Run):
    """A campaign of evolution."""

    KIND: ClassVar[str] = "evolve"
    _RECORD: ClassVar[type[DataclassInstance] | None] = EliteRecord

    def elites(self, encoding: str | None = None) -> tuple[Elite, ...]:
        """The best picture of each class, by ascending class; all of them are in memory at once.

        The run's encoding draws them again from their genomes; this runs the encoding's file if it
        is one of yours. The victim is not needed.

        Args:
            encoding: ``path/to/file.py:Class`` of the encoding, if its file has moved.

        Raises:
            StoreError: the folder is damaged, or the encoding's file is not what it was.
            ConfigError: the encoding is not available.
        """
        return tuple(elite for part in self._elites(encoding) for elite in part)

    def images(self) -> UInt8Images:
        """The best picture of each class, N x C x H x W, uint8, by ascending class.

        Raises:
            StoreError, ConfigError: as `elites`.
        """
        pixels = [elite.pixels for elite in self.elites()]
        return np.stack(pixels) if pixels else _no_images(self.path)

    def results(self) -> tuple[EliteRecord, ...]:
        """One record per class, by ascending class; needs neither victim nor encoding.

        Raises:
            StoreError: the folder is damaged.
        """
        with CampaignFolder.open(self.path) as run, run.snapshot():
            labels = run.manifest["classifier"]["labels"]
            stored = run.elites()
            people = {id: run.individual(id) for id in {elite.id for elite in stored}}
        records = []
        for elite in stored:
            person = people[elite.id]
            if person is None or elite.class_index >= len(labels):
                raise DamagedError(f"{self.path}: damaged: class {elite.class_index}")
            records.append(
                EliteRecord(
                    class_index=elite.class_index,
                    label=labels[elite.class_index],
                    confidence=elite.confidence,
                    log_odds=elite.log_odds,
                    won=elite.won,
                    generation=elite.id.generation,
                    individual=str(elite.id),
                    parents=tuple(map(str, person.parents)),
                )
            )
        return tuple(records)

    def _elites(self, encoding: str | None) -> Iterator[list[Elite]]:
        from evofool.evolution.outputs import claim_of, elites
        from evofool.evolution.restoring import open_elites

        with CampaignFolder.open(self.path) as run, run.snapshot():
            stored = open_elites(run, encoding)
            for part in elites(stored.archive, stored.render, stored.labels):
                yield [
                    Elite(
                        class_index=elite.class_index,
                        label=elite.label,
                        confidence=elite.confidence,
                        genome=elite.individual.genome,
                        pixels=elite.pixels,
                        provenance=claim_of(run, elite, stored.redrawn),
                    )
                    for elite in part
                ]


@dataclass(frozen=True)
class AttackRun(Run):
    """A run of attacks."""

    KIND: ClassVar[str] = "attack"
    _RECORD: ClassVar[type[DataclassInstance] | None] = AttackRecord

    def images(self) -> UInt8Images:
        """The attacked pictures as they are saved, N x C x H x W, uint8, one per record.

        Raises:
            StoreError: as `results`, or a picture is missing or damaged.
        """
        pictures = [self.picture(record) for record in self.results()]
        shapes = {image.shape for image in pictures}
        if len(shapes) > 1:
            raise DamagedError(f"{self.path}: damaged: its pictures differ in shape")
        return np.stack(pictures) if pictures else _no_images(self.path)

    def results(self) -> tuple[AttackRecord, ...]:
        """One record per attacked image, in the order of attacks and images: ``results.csv``.

        Raises:
            FolderError: the run has not come so far.
            StoreError: the table is damaged.
        """
        return read_records(self.path, "results.csv", AttackRecord)

    def picture(self, record: AttackRecord) -> UInt8Images:
        """The attacked picture of a record, C x H x W, uint8.

        Raises:
            StoreError: it is missing or damaged.
        """
        png = self.png(record)
        try:
            return decode_png(png)
        except ImageError as error:
            raise StoreError(
                f"{self.path / record.png}: cannot be read ({reason(error)})"
            ) from error

    def png(self, record: AttackRecord) -> bytes:
        """The file of the attacked picture of a record, its provenance inside.

        Raises:
            StoreError: it is missing.
        """
        if not _PICTURE.fullmatch(record.png):
            raise DamagedError(
                f"{self.path}: damaged: {record.png[:80]!r} is not a picture of a run"
            )
        try:
            return read_file(self.path / record.png)
        except OSError as error:
            raise StoreError(
                f"{self.path / record.png}: cannot be read ({reason(error)})"
            ) from error


@dataclass(frozen=True)
class DefendRun(Run):
    """The evaluation of a defense."""

    KIND: ClassVar[str] = "defend"
    _RECORD: ClassVar[type[DataclassInstance] | None] = ThreatRecord

    def results(self) -> tuple[ThreatRecord, ...]:
        """One record per threat and net, the undefended net first: ``threats.csv``.

        Raises:
            FolderError: the run has not come so far.
            StoreError: the table is damaged.
        """
        return read_records(self.path, "threats.csv", ThreatRecord)


@dataclass(frozen=True)
class RetrainRun(Run):
    """A run of retraining."""

    KIND: ClassVar[str] = "retrain"
    _RECORD: ClassVar[type[DataclassInstance] | None] = NetRecord

    def results(self) -> tuple[NetRecord, ...]:
        """One record per net: ``retrain.csv``; errors as `DefendRun.results`."""
        return read_records(self.path, "retrain.csv", NetRecord, rest="evolution")


@dataclass(frozen=True)
class CostsRun(Run):
    """A comparison of cost functions."""

    KIND: ClassVar[str] = "costs"
    _RECORD: ClassVar[type[DataclassInstance] | None] = CostRecord

    def results(self) -> tuple[CostRecord, ...]:
        """One record per cost function and measure, ``costs.csv``; errors as in `DefendRun`."""
        return read_records(self.path, "costs.csv", CostRecord)


@dataclass(frozen=True)
class ReproduceRun(Run):
    """A test of claims of the literature."""

    KIND: ClassVar[str] = "reproduce"
    _RECORD: ClassVar[type[DataclassInstance] | None] = ClaimRecord

    def results(self) -> tuple[ClaimRecord, ...]:
        """One record per claim: ``reproduce.csv``; errors as `DefendRun.results`."""
        return read_records(self.path, "reproduce.csv", ClaimRecord)


@dataclass(frozen=True)
class CompareRun(Run):
    """A comparison of methods, run from a config or made of run folders."""

    KIND: ClassVar[str] = "compare"
    _RECORD: ClassVar[type[DataclassInstance] | None] = MethodRecord

    def results(self) -> tuple[MethodRecord, ...]:
        """One record per net and method: ``compare.csv``; errors as `DefendRun.results`."""
        return read_records(self.path, "compare.csv", MethodRecord, rest="measures")


def open_run(path: Path | str | os.PathLike[str]) -> Run:
    """The results of a run folder of any kind, finished or not; runs nothing that it names.

    >>> run = evofool.open_run("runs/attacks")
    >>> run.summary["queries"], run.images().shape
    >>> run.to_frame().groupby("attack").success_png.mean()

    Args:
        path: the run folder.

    Raises:
        FolderError: no run is there.
        StoreError: its manifest or its summary is damaged.
    """
    folder = Path(path)
    if not is_folder(folder):
        raise FolderError(f"{folder}: there is no such folder")
    if not is_file(folder / MANIFEST):
        raise FolderError(f"{folder}: is not a run folder (it has no {MANIFEST})")
    kind = check_manifest(read_json(folder / MANIFEST), folder)
    summary = read_json(folder / "summary.json") if is_file(folder / "summary.json") else {}
    return run_of(kind, Result(folder, summary))


def run_of(kind: Kind, result: Result) -> Run:
    """`result` with the pictures and records that runs of its kind have."""
    if not kind.results:
        return Run(result.path, {"kind": kind.name, **result.summary})
    run: Run = kind.part("results")(result.path, result.summary)
    return run


def _no_images(path: Path) -> UInt8Images:
    """No picture of the shape that the run's victim takes."""
    with Folder.open(path) as run:
        channels, height, width = run.manifest["classifier"]["input_shape"]
    return np.empty((0, channels, height, width), np.uint8)
