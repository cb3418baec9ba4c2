"""Opening ``run.sqlite``: durable for whoever writes, harmless for whoever reads."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path

from evofool.errors import StoreError
from evofool.files import OWN_PROCESS, is_file, reason

SQLITE_ERRORS = (sqlite3.Error, UnicodeError, OverflowError, MemoryError)
"""Of a damaged file even the message may not be text; and not every text, number or row fits in."""
MOST_BYTES = 512 * 1024 * 1024
"""Of a text or blob: the state of CMA-ES over as many genes as it takes has 400 MB."""
MOST_MEMORY = 2 * MOST_BYTES
"""Of all connections of a process of ours: SQLite holds the largest value twice."""


def make_tables(path: Path, tables: Mapping[str, str], version: int) -> None:
    """A new database with these tables, of this schema version.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        with contextlib.closing(connect(path, new=True, writable=True)) as database:
            for statement in tables.values():
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {version}")
    except SQLITE_ERRORS as error:
        raise StoreError(f"{path}: {fault(error)}") from error


def connect(path: Path, *, writable: bool, new: bool = False) -> sqlite3.Connection:
    """A connection, with a write-ahead log if `writable` and for queries only if not.

    Raises:
        StoreError: the file is missing (and not `new`), or is no database; it is a link and
            `writable`; or what SQLite would open beside it is no regular file.
    """
    if not new and not is_file(path):
        raise StoreError(f"{path}: is missing")
    _check_files(path, writable=writable)
    db = None
    try:
        db = sqlite3.connect(
            _uri(path, writable=writable), timeout=30, check_same_thread=False, uri=True
        )
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        if OWN_PROCESS.get():  # also rows that are only passed on the way to another take memory
            db.execute(f"PRAGMA hard_heap_limit = {MOST_MEMORY}")
        db.execute("PRAGMA trusted_schema = OFF")
        if writable:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
        else:
            db.execute("PRAGMA query_only = ON")
    except SQLITE_ERRORS as error:
        if db is not None:
            db.close()
        raise StoreError(f"{path}: {fault(error)}") from error
    return db


def fault(error: BaseException) -> str:
    """What one of `SQLITE_ERRORS` says, for a message."""
    return str(error) or "a row wants more memory than there is for it"


def _check_files(path: Path, *, writable: bool) -> None:
    """SQLite waits for a pipe, and writes through a link into whatever file that leads to."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        file = Path(f"{path}{suffix}")
        try:
            mode = file.lstat().st_mode
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise StoreError(f"{file}: cannot be read ({reason(error)})") from error
        if stat.S_ISLNK(mode) and (writable or suffix):
            raise StoreError(f"{file}: is a link, but a run is written only into its own folder")
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise StoreError(f"{file}: is not a regular file")


def _uri(path: Path, *, writable: bool) -> str:
    uri = path.absolute().as_uri()
    # a reader too makes the shared-memory file of a write-ahead log, where it may
    if writable or os.access(path.parent, os.W_OK):
        return uri
    # where it may not: without a log nobody is writing, and nothing needs to be made
    return f"{uri}?mode=ro" + ("" if Path(f"{path}-wal").exists() else "&immutable=1")
