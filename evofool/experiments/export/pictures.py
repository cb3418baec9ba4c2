"""What a run has to export: its pictures, each with the same typed facts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

from evofool.errors import DamagedError, StoreError, UsageError
from evofool.experiments.records import AttackRecord, EliteRecord
from evofool.experiments.results import AttackRun, EvolveRun, Run
from evofool.images import PROVENANCE, UInt8Images, encode_png, pixels_sha256
from evofool.store import CampaignFolder, Folder
from evofool.store.records.lineage import IndividualId
from evofool.text import inert

_OF_THE_RUN: Mapping[str, type] = MappingProxyType(
    {"victim": str, "victim_digest": str, "run_id": str, "seed": int, "pixels_sha256": str}
)
_RENAMED: Mapping[str, str] = MappingProxyType({"image": "image_index"})
"""Fields of a record whose name a reader of data sets uses for the picture itself."""


@dataclass(frozen=True)
class Picture:
    """One picture of a run.

    Attributes:
        name: of its file, made of indices alone: ``0123.png``.
        png: the file, with its provenance inside.
        pixels: C x H x W, uint8, as they were scored.
        facts: a value for each of `Pictures.columns`, None where there is none; texts are without
            control characters and lone surrogates.
    """

    name: str
    png: bytes = field(repr=False)
    pixels: UInt8Images = field(repr=False)
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Pictures:
    """All pictures of a run.

    Attributes:
        run: that they are of.
        manifest: of the run.
        columns: of the table of facts: the type of each, in order.
        label: the column with the class of a picture, a number: that it was evolved for, or that
            of the picture before the attack.
        rows: the pictures, in the order of the run's results; at least one.
    """

    run: Run
    manifest: Mapping[str, Any] = field(repr=False)
    columns: Mapping[str, type]
    label: str
    rows: tuple[Picture, ...] = field(repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of every class of the victim, as safe as the texts of facts."""
        return tuple(inert(label) for label in self.manifest["classifier"]["labels"])


def pictures_of(run: Run, encoding: str | None = None) -> Pictures:
    """The pictures of a run of evolve or attack; all of them are in memory at once.

    Args:
        run: as `evofool.open_run` gives it.
        encoding: ``path/to/file.py:Class`` of a campaign's encoding, where its file has moved.

    Raises:
        UsageError: runs of its kind have no pictures of their own.
        StoreError: it has no picture yet, or is damaged.
        ConfigError: the encoding of a campaign cannot be had.
    """
    if not isinstance(run, EvolveRun | AttackRun):
        raise UsageError(
            f"{run.path}: a run of kind {run.kind} has no pictures of its own to export; runs of"
            " evolve and attack have, including those inside its folder"
        )
    with Folder.open(run.path) as folder:
        manifest = folder.manifest
    if isinstance(run, EvolveRun):
        columns = {**_columns(EliteRecord), "encoding": str, "genome_sha256": str, **_OF_THE_RUN}
        rows = tuple(_evolved(run, manifest, encoding))
        label = "class_index"
    else:
        columns = {**_columns(AttackRecord, without="png"), **_OF_THE_RUN}
        rows = tuple(_attacked(run, manifest))
        label = "source"
    if not rows:
        raise StoreError(f"{run.path}: has no picture to export yet")
    _check(run.path, rows)
    return Pictures(run, manifest, columns, label, rows)


def _check(path: Path, rows: Sequence[Picture]) -> None:
    """Refuses what only a damaged run holds: a name that comes twice, a number beyond 64 bits."""
    if len({picture.name for picture in rows}) < len(rows):
        raise DamagedError(f"{path}: damaged: two of its pictures have the same name")
    for picture in rows:
        for name, value in picture.facts.items():
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise DamagedError(
                    f"{path}: damaged: {picture.name}: {name} is not a 64-bit number"
                )


def _evolved(
    run: EvolveRun, manifest: Mapping[str, Any], encoding: str | None
) -> Iterator[Picture]:
    records = {record.class_index: record for record in run.results()}
    elites = run.elites(encoding)
    with CampaignFolder.open(run.path) as folder:
        for elite in elites:
            record = records.get(elite.class_index)
            if record is None or record.individual != elite.provenance["individual"]:
                raise StoreError(f"{run.path}: changed while it was read; export it again")
            stored = folder.individual(IndividualId.parse(record.individual))
            own = {
                "encoding": manifest["encoding"]["name"],
                "genome_sha256": None if stored is None else stored.sha256.hex(),
            }
            text = {"Software": "evofool", PROVENANCE: json.dumps(elite.provenance)}
            yield Picture(
                f"{elite.class_index:04d}.png",
                encode_png(elite.pixels, text),
                elite.pixels,
                _facts(record, manifest, elite.pixels, own),
            )


def _attacked(run: AttackRun, manifest: Mapping[str, Any]) -> Iterator[Picture]:
    for record in run.results():
        png = run.png(record)
        pixels = run.picture(record)
        yield Picture(Path(record.png).name, png, pixels, _facts(record, manifest, pixels, {}))


def _columns(record: type, without: str = "") -> dict[str, type]:
    """The columns of a kind of record, and the plain type of each."""
    hints = get_type_hints(record)
    return {
        _RENAMED.get(each.name, each.name): _plain_type(hints[each.name])
        for each in fields(record)
        if each.name != without
    }


def _plain_type(hint: Any) -> type:
    """Of ``int | None`` it is int; what is no number is a text."""
    return next((part for part in (hint, *get_args(hint)) if part in (int, float, bool)), str)


def _facts(
    record: EliteRecord | AttackRecord,
    manifest: Mapping[str, Any],
    pixels: UInt8Images,
    own: Mapping[str, Any],
) -> dict[str, Any]:
    values = {
        _RENAMED.get(each.name, each.name): getattr(record, each.name)
        for each in fields(record)
        if each.name != "png"
    }
    values |= own
    values |= {
        "victim": manifest["classifier"]["name"],
        "victim_digest": manifest["classifier"]["digest"],
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "pixels_sha256": pixels_sha256(pixels),
    }
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        value = json.dumps(value, sort_keys=True)
    if isinstance(value, tuple):
        value = " ".join(value)
    return inert(value) if isinstance(value, str) else value
