"""The run folder: config, manifest, ``run.sqlite`` (the only source of truth), derived files.

A folder may come from anyone, so what is read is checked: versions, the exact tables (no triggers
or views), types, identifiers. Files are named after class indices, never after labels.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evofool.errors import StoreError
from evofool.store.files import write_atomically
from evofool.store.lock import acquire
from evofool.store.schema import (
    SCHEMA_VERSION,
    TABLES,
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
)

MANIFEST = "manifest.json"
CONFIG = "config.yaml"
DATABASE = "run.sqlite"
LOCK = ".lock"
MAX_TEXT = 16 * 1024 * 1024
"""Largest manifest, config or summary that is read."""


@dataclass(frozen=True)
class Archive:
    """What ``run.sqlite`` holds of a champion archive."""

    elites: tuple[EliteRow, ...]
    holders: Mapping[IndividualId, IndividualRow]


class RunFolder:
    """One run on disk. Made by `create` or `open`; a context manager.

    Attributes:
        path: the folder.
        manifest: ``manifest.json``: kind, schema_version, run_id, versions, seed, digests...
        config_text: ``config.yaml``, resolved.
    """

    def __init__(
        self, path: Path, manifest: dict[str, Any], config_text: str, lock: int | None
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.config_text = config_text
        self._lock = lock
        self._db = _connect(path / DATABASE, writable=lock is not None)

    @classmethod
    def create(cls, path: Path, manifest: Mapping[str, Any], config_text: str) -> RunFolder:
        """A new run folder, locked by this process.

        Raises:
            StoreError: the folder holds a run or other files already, or cannot be written.
            RunBusyError: another process is making a run there.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            taken = [entry.name for entry in path.iterdir() if entry.name != LOCK]
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(f"{path}: cannot be used as a run folder ({reason})") from error
        if MANIFEST in taken:
            raise StoreError(
                f"{path}: holds a run already; go on with `evofool resume {path}`, or give another"
                " --out"
            )
        # a process killed while making a run leaves a database and a config without a manifest
        if set(taken) - {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", CONFIG}:
            raise StoreError(f"{path}: is not empty; give another --out")
        lock = acquire(path / LOCK)
        try:
            for name in taken:
                (path / name).unlink()
            database = _connect(path / DATABASE, writable=True)
            with database:
                for statement in TABLES.values():
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            database.close()
            full = {"schema_version": SCHEMA_VERSION, **manifest}
            write_atomically(path / CONFIG, config_text.encode())
            # last: a folder with a manifest is a whole run folder
            write_atomically(path / MANIFEST, _json_bytes(full))
            return cls(path, full, config_text, lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> RunFolder:
        """An existing run folder; several processes may read it while one writes.

        Raises:
            StoreError: no run is there, or it is damaged or of another version.
            RunBusyError: `writable`, and another process holds it.
        """
        if not (path / MANIFEST).is_file():
            raise StoreError(f"{path}: is not a run folder (it has no {MANIFEST})")
        manifest = _read_json(path / MANIFEST)
        version = manifest.get("schema_version")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{path}: has schema version {version!r}, this evofool reads {SCHEMA_VERSION}"
            )
        config_text = _read_text(path / CONFIG)
        lock = acquire(path / LOCK) if writable else None
        try:
            run = cls(path, manifest, config_text, lock)
            run._check_schema()
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        return run

    def close(self) -> None:
        """Close the database and release the lock."""
        with contextlib.suppress(sqlite3.Error):
            if self._lock is not None:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # what is written

    def commit(self, delta: Delta) -> None:
        """Write `delta` in one transaction: after a kill, all of it is there or none.

        Genomes that no cell holds any longer are freed in the same transaction.
        """
        individuals = [
            (
                i.id.generation,
                i.id.child,
                _join(i.parents),
                _join(i.parent_cells),
                i.sha256,
                i.genome,
            )
            for i in delta.individuals.values()
        ]
        wins = [
            (w.id.generation, w.id.child, w.class_index, w.log_odds, w.confidence,
             "" if w.replaced is None else str(w.replaced))
            for w in delta.wins
        ]  # fmt: skip
        elites = [
            (e.class_index, e.id.generation, e.id.child, e.fitness, e.log_odds, e.confidence,
             int(e.won))
            for e in delta.elites.values()
        ]  # fmt: skip
        generations = [
            (g.generation, g.evaluations, g.forward_images, g.queries, g.batch, g.seconds,
             json.dumps(g.stats))
            for g in delta.generations
        ]  # fmt: skip
        with self._errors(), self._db:
            many = self._db.executemany
            many("INSERT OR REPLACE INTO individuals VALUES (?, ?, ?, ?, ?, ?)", individuals)
            many("INSERT OR REPLACE INTO wins VALUES (?, ?, ?, ?, ?, ?)", wins)
            many("INSERT OR REPLACE INTO elites VALUES (?, ?, ?, ?, ?, ?, ?)", elites)
            many("INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?, ?, ?)", generations)
            many("INSERT OR REPLACE INTO state VALUES (?, ?)", list(delta.state.items()))
            many("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(delta.meta.items()))
            if elites:
                self._db.execute(
                    "UPDATE individuals SET genome = NULL WHERE genome IS NOT NULL AND"
                    " (generation, idx) NOT IN (SELECT generation, idx FROM elites)"
                )

    def write_file(self, name: str, data: bytes, *, durable: bool = True) -> Path:
        """Write a derived file, `name` relative to the folder (``images/0123.png``)."""
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise StoreError(f"{name!r} does not lie inside the run folder")
        path = self.path / relative
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: cannot be written ({error.strerror})") from error
        write_atomically(path, data, durable=durable)
        return path

    def write_json(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write a derived JSON object."""
        return self.write_file(name, _json_bytes(value))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest (a moved classifier file was re-pointed)."""
        write_atomically(self.path / MANIFEST, _json_bytes(manifest))
        self.manifest = dict(manifest)

    def write_config(self, text: str) -> None:
        """Replace the resolved config (stop rules were extended, a moved file re-pointed)."""
        write_atomically(self.path / CONFIG, text.encode())
        self.config_text = text

    # what is read

    def meta(self) -> dict[str, str]:
        """Status and other single values."""
        return {str(key): str(value) for key, value in self._rows("SELECT key, value FROM meta")}

    def generations(self) -> list[GenerationRow]:
        """All stored generations in order."""
        return self._generations("ORDER BY generation")

    def last_generation(self) -> GenerationRow | None:
        """The newest stored generation."""
        return next(iter(self._generations("ORDER BY generation DESC LIMIT 1")), None)

    def archive(self) -> Archive:
        """The elites in the order of their classes, and the individuals that hold the cells."""
        elites = tuple(
            EliteRow(c, IndividualId(g, i), fitness, odds, confidence, bool(won))
            for c, g, i, fitness, odds, confidence, won in self._rows(
                "SELECT class_index, generation, idx, fitness, log_odds, confidence, won"
                " FROM elites ORDER BY class_index"
            )
        )
        holders = {
            row.id: row
            for row in self._individuals("WHERE genome IS NOT NULL ORDER BY generation, idx")
        }
        for elite in elites:
            if elite.id not in holders:
                raise StoreError(f"{self.path}: the genome of elite {elite.id} is missing")
        return Archive(elites, holders)

    def individual(self, id: IndividualId) -> IndividualRow | None:
        """One individual of the lineage, or None if it never won a cell."""
        found = list(self._individuals("WHERE generation = ? AND idx = ?", tuple(id)))
        return found[0] if found else None

    def wins(self) -> list[WinRow]:
        """Every win of a cell, oldest first."""
        return [
            WinRow(IndividualId(g, i), c, odds, confidence,
                   _parse_ids(replaced, self.path)[0] if replaced else None)
            for g, i, c, odds, confidence, replaced in self._rows(
                "SELECT generation, idx, class_index, log_odds, confidence, replaced FROM wins"
                " ORDER BY generation, idx, class_index"
            )
        ]  # fmt: skip

    def state(self) -> dict[str, bytes]:
        """What the algorithm stored beside the archive."""
        return {str(key): bytes(value) for key, value in self._rows("SELECT key, value FROM state")}

    def summary(self) -> dict[str, Any] | None:
        """``summary.json``, or None before the first was written."""
        path = self.path / "summary.json"
        return _read_json(path) if path.is_file() else None

    def check(self) -> list[str]:
        """SQLite's own integrity check: what it finds wrong."""
        rows = [str(row[0]) for row in self._rows("PRAGMA integrity_check")]
        return [row for row in rows if row != "ok"]

    def _generations(self, order: str) -> list[GenerationRow]:
        return [
            GenerationRow(g, evaluations, forward, queries, batch, seconds,
                          _json_object(stats, self.path))
            for g, evaluations, forward, queries, batch, seconds, stats in self._rows(
                "SELECT generation, evaluations, forward_images, queries, batch, seconds, stats"
                f" FROM generations {order}"
            )
        ]  # fmt: skip

    def _individuals(self, where: str, values: tuple[int, ...] = ()) -> Iterator[IndividualRow]:
        for g, i, parents, cells, digest, genome in self._rows(
            "SELECT generation, idx, parents, parent_cells, sha256, genome"
            f" FROM individuals {where}",
            values,
        ):
            try:
                parent_cells = tuple(int(cell) for cell in cells.split())
            except ValueError as error:
                raise StoreError(f"{self.path}: damaged lineage of {g}:{i}") from error
            yield IndividualRow(
                IndividualId(g, i), _parse_ids(parents, self.path), parent_cells, digest, genome
            )

    def _rows(self, query: str, values: tuple[int, ...] = ()) -> Iterator[tuple[Any, ...]]:
        with self._errors():
            yield from self._db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path / DATABASE}: {error}") from error

    def _check_schema(self) -> None:
        found = {
            row[0]: row[1]
            for row in self._rows("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        }
        if found != TABLES:
            raise StoreError(
                f"{self.path / DATABASE}: does not hold the tables of schema {SCHEMA_VERSION}"
            )


def _connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    if not writable and not path.is_file():
        raise StoreError(f"{path}: is missing")
    try:
        # a reader too must be able to make the shared-memory file of a write-ahead log
        db = sqlite3.connect(path, timeout=30, check_same_thread=False)
        db.execute("PRAGMA trusted_schema = OFF")
        if writable:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
        else:
            db.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    return db


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise StoreError(f"{path}: is larger than {MAX_TEXT} bytes")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from error


def _read_json(path: Path) -> dict[str, Any]:
    return _json_object(_read_text(path), path)


def _json_object(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: damaged JSON ({error})") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path}: damaged JSON (not an object)")
    return value


def _join(values: tuple[object, ...]) -> str:
    return " ".join(str(value) for value in values)


def _parse_ids(text: str, path: Path) -> tuple[IndividualId, ...]:
    try:
        return tuple(IndividualId.parse(part) for part in text.split())
    except ValueError as error:
        raise StoreError(f"{path}: damaged lineage ({error})") from error
