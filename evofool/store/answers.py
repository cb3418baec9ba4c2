"""Answers of services by address: what was paid for once is never asked again.

They lie in ``answers.sqlite``, beside ``run.sqlite`` or in a folder that several runs share; the
address names the service, the way it was asked and the pixels (`evofool.scoring.services`).
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evofool.errors import StoreError
from evofool.files import reason
from evofool.store.database import SQLITE_ERRORS, connect, fault

FILE = "answers.sqlite"
WAIT_SECONDS = 600.0
"""Longest wait for another run that writes into the same folder."""
MOST_BYTES = 8_000_000
"""Of one answer: a million classes."""
_AT_ONCE = 500
_TABLE = (
    "CREATE TABLE IF NOT EXISTS answers (address BLOB PRIMARY KEY, value BLOB NOT NULL,"
    " sum BLOB NOT NULL) WITHOUT ROWID"
)


class Answers:
    """Answers in one file; threads and processes may share it.

    Args:
        folder: where it lies; it is made if it is not there.

    Raises:
        StoreError: it cannot be written, or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: cannot be written ({reason(error)})") from error
        self._db = connect(self._path, writable=True, new=True)
        self._lock = threading.Lock()
        with self._errors():
            self._db.isolation_level = None
            self._db.execute(f"PRAGMA busy_timeout = {int(WAIT_SECONDS * 1000)}")
            self._db.execute(_TABLE)

    def find(self, addresses: Sequence[bytes]) -> dict[bytes, bytes]:
        """Those that are there and whole; what is damaged is not there.

        Raises:
            StoreError: they cannot be read.
        """
        found: dict[bytes, bytes] = {}
        with self._lock, self._errors():
            for start in range(0, len(addresses), _AT_ONCE):
                asked = addresses[start : start + _AT_ONCE]
                marks = ",".join("?" * len(asked))
                rows = self._db.execute(
                    "SELECT address, value, sum FROM answers WHERE typeof(value) = 'blob' AND"
                    f" length(value) <= {MOST_BYTES} AND address IN ({marks})",
                    list(asked),
                )
                found |= {key: value for key, value, check in rows if check == _sum(key, value)}
        return found

    def keep(self, answers: Mapping[bytes, bytes]) -> None:
        """Keep answers, in one transaction.

        Raises:
            StoreError: they cannot be written.
        """
        rows = [(address, value, _sum(address, value)) for address, value in answers.items()]
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def __len__(self) -> int:
        with self._lock, self._errors():
            return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLITE_ERRORS as error:
            raise StoreError(f"{self._path}: {fault(error)}") from error


def _sum(address: bytes, value: bytes) -> bytes:
    return hashlib.sha256(bytes(address) + bytes(value)).digest()[:8]
