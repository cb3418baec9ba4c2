"""Pictures that were sent to the victim of a run, counted in its ``run.sqlite``.

A connection of its own: bookings are stored before pictures are sent, from the threads that send
them, while a transaction of the run may be under way.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from evofool.errors import BudgetError, DamagedError, StoreError
from evofool.store.answers import Answers
from evofool.store.database import SQLITE_ERRORS, connect, fault
from evofool.store.rows_seal import seal_bookings

PREFIX = "sent."
"""Of the keys in the table ``meta``; what follows is a heading of `evofool.scoring.ledger`."""
_PROBE = "probe_pictures"
NOT_SENT = "cached"
"""The heading of pictures that cost nothing, since their answers were kept."""
WAIT_SECONDS = 600.0
"""Longest wait for a transaction of the run, which may hold many genomes."""


class Bookings:
    """Counts by heading, added to in transactions of their own.

    What was added survives the process. Several processes may add, and a limit holds over all.
    """

    def __init__(self, database: Path) -> None:
        self._path = database
        self._db = connect(database, writable=True)
        self._lock = threading.Lock()
        self._answers: dict[Path, Answers] = {}
        with self._errors():
            self._db.isolation_level = None
            self._db.execute(f"PRAGMA busy_timeout = {int(WAIT_SECONDS * 1000)}")

    def add(self, counts: Mapping[str, int], limit: int | None = None) -> dict[str, int]:
        """Add `counts`, and return all that are stored.

        Raises:
            BudgetError: their sum would exceed `limit`; nothing is added.
            StoreError: they cannot be read or written.
        """
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                stored = read_bookings(self._db, self._path)
                before = _sent(stored)
                for heading, count in counts.items():
                    stored[heading] = stored.get(heading, 0) + count
                if limit is not None and _sent(stored) > limit:
                    raise BudgetError.of(limit, before, sum(counts.values()))
                self._db.executemany(
                    "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                    [(PREFIX + heading, str(stored[heading])) for heading in counts],
                )
                seal_bookings(self._db)
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite has done so, on a full disk
                    self._db.execute("ROLLBACK")
                raise
            return stored

    def remember_probe(self, pictures: int) -> None:
        """Note how many pictures the victim is sent each time it is loaded, for `charge_probe`."""
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.execute(
                    "INSERT OR REPLACE INTO meta VALUES (?, ?)", (_PROBE, str(pictures))
                )
                seal_bookings(self._db)
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def charge_probe(self, limit: int | None) -> int:
        """Book the pictures that loading the victim once more will send it; returns how many.

        Raises:
            BudgetError: `limit` does not cover them: the victim must not be loaded.
        """
        with self._lock, self._errors():
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (_PROBE,)).fetchone()
        pictures = 0 if row is None else _count(_PROBE, row[0], self._path)
        if pictures:
            try:
                self.add({"probe": pictures}, limit)
            except BudgetError as error:
                raise BudgetError(
                    f"{error}: loading the victim alone sends it {pictures} pictures; raise"
                    " scoring.budget"
                ) from error
        return pictures

    def answers(self, cache: Path | None = None) -> Answers:
        """Where the answers of a service are kept: beside the bookings, or in the folder `cache`.

        Raises:
            StoreError: that cannot be written, or is damaged.
        """
        with self._lock:
            folder = cache or self._path.parent
            if folder not in self._answers:  # each service may name a folder of its own
                self._answers[folder] = Answers(folder)
            return self._answers[folder]

    def close(self) -> None:
        """Close the connection."""
        for answers in self._answers.values():
            answers.close()
        self._answers.clear()
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLITE_ERRORS as error:
            raise StoreError(f"{self._path}: {fault(error)}") from error


def read_bookings(db: sqlite3.Connection, path: Path) -> dict[str, int]:
    """The stored counts by heading; none of a run of a version without them.

    Raises:
        StoreError: one is no count.
    """
    bookings = {}
    for key, value in db.execute(
        "SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(PREFIX), PREFIX)
    ):
        bookings[str(key).removeprefix(PREFIX)] = _count(key, value, path)
    return bookings


def _sent(stored: Mapping[str, int]) -> int:
    return sum(count for heading, count in stored.items() if heading != NOT_SENT)


def _count(key: object, value: object, path: Path) -> int:
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19):
        raise DamagedError(f"{path}: {str(key)[:60]} is damaged: it is not a count")
    return int(value)
