"""A run folder of any kind: config, manifest, ``run.sqlite`` (the only source of truth), files.

A folder may come from anyone, so what is read is checked: versions, the exact tables (no triggers
or views), types. What the tables are for is known to the subclass of a kind of record.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self, TypeAlias

from evofool.errors import DamagedError, FolderError, StoreError
from evofool.files import PathError, expanded, is_file, is_folder, reason, short, sweep
from evofool.seal import is_sealed, sealed
from evofool.store import rows_seal
from evofool.store.database import SQLITE_ERRORS, connect, fault, make_tables
from evofool.store.files import (
    check_place,
    json_bytes,
    place_of,
    read_json,
    read_text,
    write_atomically,
)
from evofool.store.leftovers import leftovers, remove
from evofool.store.lock import acquire, is_held
from evofool.store.manifest import CONFIG as CONFIG
from evofool.store.manifest import MANIFEST as MANIFEST
from evofool.store.manifest import check_manifest, kind_in
from evofool.store.records.bookings import Bookings, read_bookings
from evofool.store.records.lineage import Column

DATABASE = "run.sqlite"
LOCK = ".lock"
_Type: TypeAlias = type | tuple[type, ...] | Column


@dataclass(frozen=True)
class Result:
    """A run that has ended: its folder and the content of ``summary.json``."""

    path: Path
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `ok` is None where there is nothing to check (yet)."""

    name: str
    ok: bool | None
    detail: str


class Folder:
    """One run on disk. Made by `create` or `open`; a context manager.

    A subclass knows the tables of a kind of record; this class opens a run of any kind, for what
    all have: the manifest, the table ``meta``, derived files.

    Attributes:
        path: the folder.
        manifest: ``manifest.json``: kind, schema_version, run_id, versions, seed, digests...
        config_text: ``config.yaml``, resolved.
    """

    KIND: ClassVar[str] = ""
    """The one kind of run that a subclass opens; empty where it opens several."""

    def __init__(
        self, path: Path, manifest: dict[str, Any], config_text: str, lock: int | None
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.config_text = config_text
        self._lock = lock
        self._check_kind()
        self._db = connect(path / DATABASE, writable=lock is not None)
        self._place = place_of(path / DATABASE)
        self._bookings: Bookings | None = None
        self._sealed = True

    @classmethod
    def create(cls, path: Path, manifest: Mapping[str, Any], config_text: str) -> Self:
        """A new run folder, locked by this process.

        Raises:
            StoreError: the folder holds a run or other files already, or cannot be written.
            RunBusyError: another process is making a run there.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FolderError(f"{path}: cannot be used as a run folder ({reason})") from error
        kind = kind_in(manifest, path)
        leftovers(path)  # before a lock file is put into a folder that is not ours
        lock = acquire(path / LOCK)
        try:
            # anew: another process may have made its run meanwhile
            remove(leftovers(path))
            make_tables(path / DATABASE, kind.part("tables"), kind.schema_version)
            full = sealed({"schema_version": kind.schema_version, **manifest})
            write_atomically(path / CONFIG, config_text.encode())
            # last: a folder with a manifest is a whole run folder
            write_atomically(path / MANIFEST, json_bytes(full))
            return cls(path, full, config_text, lock)
        except BaseException:
            os.close(lock)
            raise

    @staticmethod
    def check_free(path: Path) -> None:
        """Refuse early what `create` would refuse, before a victim is loaded for nothing.

        Raises:
            FolderError: the folder holds a run or other files already, or is none.
        """
        try:
            expanded(path)
        except PathError as error:
            raise FolderError(
                f"{short(path)}: cannot be used as a run folder ({reason(error)})"
            ) from error
        if os.path.lexists(path):
            leftovers(path)

    @property
    def busy(self) -> bool:
        """Whether a process holds this run to write into it."""
        return is_held(self.path / LOCK)

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> Self:
        """An existing run folder; several processes may read it while one writes.

        Raises:
            StoreError: no run is there, or it is damaged or of another version.
            RunBusyError: `writable`, and another process holds it.
        """
        if not (is_folder(path) or is_file(path)):
            raise FolderError(f"{path}: there is no such folder")
        if not is_file(path / MANIFEST):
            raise FolderError(f"{path}: is not a run folder (it has no {MANIFEST})")
        manifest = read_json(path / MANIFEST)
        check_manifest(manifest, path)
        config_text = read_text(path / CONFIG)
        lock = acquire(path / LOCK) if writable else None
        if writable:
            sweep(path)
        try:
            run = cls(path, manifest, config_text, lock)
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        try:
            run._check_schema()
            if writable:
                run._check_whole()
        except BaseException:
            run.close()
            raise
        return run

    def close(self) -> None:
        """Close the database and release the lock."""
        if self._bookings is not None:
            self._bookings.close()
            self._bookings = None
        with contextlib.suppress(sqlite3.Error):
            if self._lock is not None:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # what is written

    def inside(self, name: str) -> Path:
        """The path of a file or folder of the run, `name` relative to its folder.

        Raises:
            StoreError: `name` leads out of the folder (through a link in it, too).
        """
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts or "\0" in name:
            raise StoreError(f"{name!r} does not lie inside the run folder")
        path = self.path / relative
        try:
            inside = path.parent.resolve().is_relative_to(self.path.resolve())
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise StoreError(f"{path.parent}: cannot be read ({reason(error)})") from error
        if not inside:
            raise StoreError(f"{path}: does not lie inside the run folder (a link leads out)")
        return path

    def write_file(self, name: str, data: bytes, *, durable: bool = True) -> Path:
        """Write a derived file, `name` relative to the folder (``images/0123.png``).

        Raises:
            StoreError: `name` leads out of the folder (through a link in it, too), or the file
                cannot be written.
        """
        path = self.inside(name)
        check_place(self.path / DATABASE, self._place)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: cannot be written ({reason(error)})") from error
        write_atomically(path, data, durable=durable)
        return path

    def write_json(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write a derived JSON object."""
        return self.write_file(name, json_bytes(value))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest (a moved classifier file was re-pointed)."""
        # what was edited by hand stays recognisable
        self.manifest = sealed(manifest) if is_sealed(self.manifest) else dict(manifest)
        write_atomically(self.path / MANIFEST, json_bytes(self.manifest))

    def write_config(self, text: str) -> None:
        """Replace the resolved config (stop rules were extended, a moved file re-pointed)."""
        write_atomically(self.path / CONFIG, text.encode())
        self.config_text = text

    @property
    def bookings(self) -> Bookings:
        """Where pictures are booked that are sent to the victim; of a run that is read, too.

        Raises:
            StoreError: the database cannot be written.
        """
        if self._bookings is None:
            self._bookings = Bookings(self.path / DATABASE)
        return self._bookings

    @property
    def can_book(self) -> bool:
        """Whether the database can be written: not in a folder of somebody else."""
        return os.access(self.path, os.W_OK) and os.access(self.path / DATABASE, os.W_OK)

    # what is read

    def sent(self) -> dict[str, int]:
        """Pictures that were sent to the victim, by heading; empty of a run without bookings.

        Raises:
            StoreError: damaged.
        """
        with self._errors():
            return read_bookings(self._db, self.path / DATABASE)

    def meta(self) -> dict[str, str]:
        """Status and other single values."""
        return dict(self._rows("SELECT key, value FROM meta", (str, str)))

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Write status and the like."""
        with self._transaction():
            self._meta(values)

    def seal(self, values: Mapping[str, str]) -> None:
        """Write status and the like, and with it a digest of all rows: the run ends here.

        What is written later takes the digest away.
        """
        with self._transaction():
            self._meta(values)
            self._meta({rows_seal.KEY: rows_seal.rows_digest(self._db)})
        self._sealed = True

    def seconds(self) -> float:
        """Active seconds up to the last transaction.

        Raises:
            StoreError: damaged.
        """
        text = self.meta().get("seconds", "0")
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds >= 0):
            raise DamagedError(f"{self.path}: its seconds are damaged")
        return seconds

    def summary(self) -> dict[str, Any] | None:
        """``summary.json``, or None before the first was written."""
        path = self.path / "summary.json"
        return read_json(path) if path.is_file() else None

    def check(self) -> list[str]:
        """SQLite's own integrity check: what it finds wrong."""
        rows = [row for (row,) in self._rows("PRAGMA integrity_check", (str,))]
        return [row for row in rows if row != "ok"]

    def whole(self) -> bool | None:
        """Whether the rows are those that were sealed; None where there is no seal (any more).

        Raises:
            StoreError: they cannot be read.
        """
        with self.snapshot(), self._errors():
            return rows_seal.is_whole(self._db)

    def _meta(self, values: Mapping[str, str]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def _rows(
        self, query: str, types: tuple[_Type, ...], values: tuple[int | str, ...] = ()
    ) -> list[tuple[Any, ...]]:
        """The rows of `query`, whose columns must hold `types` (a made-up file may say STRICT)."""
        with self._errors():
            rows: list[tuple[Any, ...]] = self._db.execute(query, values).fetchall()
        for row in rows:
            for value, wanted in zip(row, types, strict=True):
                if isinstance(wanted, Column):
                    fault = wanted.fault(value)
                else:
                    fault = "" if isinstance(value, wanted) else "a value of the wrong type"
                if fault:
                    raise StoreError(f"{self.path / DATABASE}: a row holds {fault}")
        return rows

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment, whatever another process commits."""
        if self._db.in_transaction:  # the moment is an outer one's
            yield
            return
        with self._errors():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that is written inside is stored, or nothing of it."""
        check_place(self.path / DATABASE, self._place)
        with self._errors(), self._db:
            if self._sealed:
                self._db.execute("DELETE FROM meta WHERE key = ?", (rows_seal.KEY,))
            yield
        self._sealed = False

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLITE_ERRORS as error:
            raise StoreError(f"{self.path / DATABASE}: {fault(error)}") from error

    def _check_kind(self) -> None:
        kind = self.manifest.get("kind")
        if self.KIND and kind != self.KIND:
            raise FolderError(f"{self.path}: holds a run of kind {kind!r}, not {self.KIND}")

    def _check_whole(self) -> None:
        """Refuse to write into a file that is damaged."""
        faults = self.check()
        if not faults and self.whole() is False:
            faults = ["its rows are not those with which the run ended"]
        if faults:
            raise DamagedError(
                f"{self.path / DATABASE}: is damaged: {faults[0]}; put back a copy of it (evofool"
                " verify says what else is wrong)"
            )

    def _check_schema(self) -> None:
        schema = self._rows(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name, sql",
            (str, str),
        )
        kind = kind_in(self.manifest, self.path)
        tables = kind.part("tables")
        if schema != sorted(tables.items()):  # as a list: a trigger may have the name of a table
            raise StoreError(
                f"{self.path / DATABASE}: does not hold the tables of schema {kind.schema_version}"
                f" of kind {kind.name}"
            )
