"""What a campaign leaves for people: pictures, ``elites.csv``, ``summary.json``, the digest.

All of it is derived: it can be made again from ``run.sqlite`` at any time.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from evofool.encodings import Encoding
from evofool.errors import StoreError
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.individual import Individual
from evofool.files import read_file
from evofool.images import (
    PROVENANCE,
    SIDECAR,
    UInt8Images,
    decode_png,
    encode_png,
    pixels_sha256,
    to_hwc,
)
from evofool.store import CampaignFolder
from evofool.text import csv_bytes

Render: TypeAlias = Callable[[Sequence[Individual]], UInt8Images]
"""The pixels that are scored, N x C x H x W."""

THRESHOLDS = (0.5, 0.9, 0.99, 0.999, 0.9999)
"""Confidences at which the share of cells is reported."""
COLUMNS = ("class_index", "label", "confidence", "generation", "parent", "png", "sha256")


@dataclass(frozen=True)
class Elite:
    """One filled cell with its pixels.

    Attributes:
        class_index: the class of the cell.
        label: the name of the class.
        confidence: the victim's confidence in the class, on [0, 1].
        individual: the elite.
        pixels: uint8 C x H x W, its picture as it was scored.
    """

    class_index: int
    label: str
    confidence: float
    individual: Individual
    pixels: UInt8Images


def elites(
    archive: ChampionArchive, render: Render, labels: Sequence[str], chunk: int = 64
) -> Iterator[list[Elite]]:
    """The filled cells in the order of their classes, rendered a chunk at a time."""
    confidence = archive.confidence
    filled = np.flatnonzero(archive.filled).tolist()
    for start in range(0, len(filled), chunk):
        part = filled[start : start + chunk]
        holders = {id(archive.holders[k]): archive.holders[k] for k in part}
        unique = [holder for holder in holders.values() if holder is not None]
        images = render(unique)
        pixels = {id(holder): image for holder, image in zip(unique, images, strict=True)}
        part_elites = []
        for k in part:
            holder = archive.holders[k]
            assert holder is not None
            c = int(archive.cells[k])
            part_elites.append(
                Elite(c, labels[c], float(confidence[k]), holder, pixels[id(holder)])
            )
        yield part_elites


class ArchiveDigest:
    """sha256 over ascending class of (class, length + genome dump, length + uint8 HWC pixels).

    The class is a uint32 and the lengths are uint64, all little-endian.
    """

    def __init__(self, encoding: Encoding[Any]) -> None:
        self._encoding = encoding
        self._hash = hashlib.sha256()

    def add(self, elite: Elite) -> None:
        """The next filled cell; classes ascend."""
        dump = self._encoding.dump(elite.individual.genome)
        pixels = to_hwc(elite.pixels).tobytes()
        self._hash.update(struct.pack("<IQ", elite.class_index, len(dump)))
        self._hash.update(dump)
        self._hash.update(struct.pack("<Q", len(pixels)))
        self._hash.update(pixels)

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()


def png_name(class_index: int) -> str:
    """``images/0123.png``: named after the index, never after a label."""
    return f"images/{class_index:04d}.png"


def archive_digest(archive: ChampionArchive, render: Render, encoding: Encoding[Any]) -> str:
    """The digest of an archive as it stands."""
    digest = ArchiveDigest(encoding)
    labels = [""] * (int(archive.cells.max(initial=0)) + 1)
    for part in elites(archive, render, labels):
        for elite in part:
            digest.add(elite)
    return digest.hexdigest()


def claim_of(run: CampaignFolder, elite: Elite, redrawn: str = "") -> dict[str, Any]:
    """The provenance of an elite's picture.

    ``pixels_sha256`` is of the uint8 HWC pixels: it finds the claim again in a sidecar after a
    tool has stripped the PNG's text and packed its pixels anew. ``redrawn_by`` stands there if the
    pixels are not those that were scored.
    """
    manifest, individual = run.manifest, elite.individual
    return {
        "class_index": elite.class_index,
        "label": elite.label,
        "confidence": elite.confidence,
        "generation": individual.id.generation,
        "individual": str(individual.id),
        "classifier": manifest["classifier"]["name"],
        "classifier_digest": manifest["classifier"]["digest"],
        "encoding": manifest["encoding"]["name"],
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "pixels_sha256": pixels_sha256(elite.pixels),
        **({"redrawn_by": redrawn} if redrawn else {}),
    }


def picture(run: CampaignFolder, elite: Elite, redrawn: str = "") -> bytes:
    """An elite as a PNG with its provenance inside.

    Raises:
        StoreError: it does not read back as it was scored.
    """
    text = {"Software": "evofool", PROVENANCE: json.dumps(claim_of(run, elite, redrawn))}
    data = encode_png(elite.pixels, text)
    if not np.array_equal(decode_png(data), elite.pixels):
        name = png_name(elite.class_index)
        raise StoreError(f"{name}: the picture does not read back as it was scored")
    return data


def write_pictures(
    run: CampaignFolder,
    archive: ChampionArchive,
    render: Render,
    encoding: Encoding[Any],
    labels: Sequence[str],
    workers: int,
    redrawn: str = "",
) -> str:
    """Write ``images/`` with its sidecar and ``elites.csv``; returns the archive digest.

    `redrawn` names what draws if that is not what drew the run: the provenance then says so.

    Raises:
        StoreError: the folder cannot be written, or a picture does not read back as scored.
    """
    digest = ArchiveDigest(encoding)
    table: list[tuple[object, ...]] = []
    claims: dict[str, dict[str, Any]] = {}

    def write(elite: Elite) -> tuple[object, ...]:
        name = png_name(elite.class_index)
        data = picture(run, elite, redrawn)
        run.write_file(name, data, durable=False)
        claims[name.rpartition("/")[2]] = claim_of(run, elite, redrawn)
        return table_row(elite, hashlib.sha256(data).hexdigest())

    with ThreadPoolExecutor(workers) as pool:
        for part in elites(archive, render, labels):
            rows = pool.map(write, part)  # pictures are compressed while the digest is taken
            for elite in part:
                digest.add(elite)
            table.extend(rows)
    run.write_file("elites.csv", csv_bytes(COLUMNS, table))
    run.write_json(f"images/{SIDECAR}", dict(sorted(claims.items())))
    return digest.hexdigest()


def table_row(elite: Elite, sha256: str) -> tuple[object, ...]:
    """The line of an elite in ``elites.csv``; `sha256` is of its PNG."""
    individual = elite.individual
    parents = " ".join(str(parent) for parent in individual.parents)
    c, confidence, g = elite.class_index, elite.confidence, individual.id.generation
    return (c, elite.label, repr(confidence), g, parents, png_name(c), sha256)


def confidence_summary(archive: ChampionArchive) -> dict[str, Any]:
    """Cells, cells won, median, minimum, maximum and the share of all cells at thresholds."""
    confidence = archive.confidence
    return {
        "cells": len(archive),
        "cells_won": int(archive.won.sum()),
        "confidence": {
            "median": float(np.median(confidence)),
            "min": float(confidence.min()),
            "max": float(confidence.max()),
        },
        "share_at": {f"{t:g}": float((confidence >= t).mean()) for t in THRESHOLDS},
    }


def summary(
    manifest: Mapping[str, Any],
    archive: ChampionArchive,
    *,
    status: str,
    stop_reason: str | None,
    algorithm: str,
    evaluations: int,
    generations: int,
    seconds: float,
    forward_images: int,
    sent: Mapping[str, int],
    unscored: int,
    digest: str | None,
    held_back: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of ``summary.json``, every word as the design defines it.

    `held_back` is of `evofool.evolution.held_back`, where the victim has transforms.
    """
    return {
        "status": status,
        "stop_reason": stop_reason,
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "classifier": {
            "name": manifest["classifier"]["name"],
            "digest": manifest["classifier"]["digest"],
        },
        "encoding": manifest["encoding"]["name"],
        "algorithm": algorithm,
        "evaluations": evaluations,
        "generations": generations,
        "seconds": round(seconds, 3),
        "images_per_second": round(evaluations / seconds, 3) if seconds > 0 else 0.0,
        "forward_images": forward_images,
        "sent": dict(sent),
        "unscored": unscored,
        **confidence_summary(archive),
        "archive_digest": digest,
        **({} if held_back is None else {"held_back": dict(held_back)}),
    }


def read_table(run: CampaignFolder) -> dict[int, dict[str, Any]]:
    """``elites.csv`` by class, its confidences and generations as numbers.

    Raises:
        StoreError: it is missing or damaged, or names a class twice.
    """
    path = run.path / "elites.csv"
    rows: dict[int, dict[str, Any]] = {}
    try:
        reader = csv.DictReader(io.StringIO(read_file(path).decode(), newline=""))
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        for row in reader:
            c = int(row["class_index"])
            if c in rows:
                raise ValueError(f"class {c} occurs twice")
            numbers = {
                "confidence": float(row["confidence"]),
                "generation": int(row["generation"]),
            }
            rows[c] = {**row, **numbers}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}); evofool gallery {run.path} makes it again"
        ) from error
    return rows


def pictures_are_current(run: CampaignFolder, archive: ChampionArchive) -> bool:
    """Whether ``elites.csv`` and ``images/`` show the elites that are stored now."""
    try:
        table = read_table(run)
    except StoreError:
        return False
    confidence = archive.confidence
    filled = np.flatnonzero(archive.filled).tolist()
    if set(table) != {int(archive.cells[k]) for k in filled}:
        return False
    for k in filled:
        holder, row = archive.holders[k], table[int(archive.cells[k])]
        assert holder is not None
        same = (row["generation"], row["confidence"]) == (holder.id.generation, confidence[k])
        if not same or saved_sha256(run, int(archive.cells[k])) != row["sha256"]:
            return False
    return True


def saved_sha256(run: CampaignFolder, class_index: int) -> str | None:
    """Of the saved picture of a class, None without one."""
    try:
        return hashlib.sha256(read_file(run.path / png_name(class_index))).hexdigest()
    except OSError:
        return None
