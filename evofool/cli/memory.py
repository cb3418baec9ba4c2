"""What a process of ours may take, whatever a file claims."""

from __future__ import annotations

import sqlite3
from contextlib import closing

MOST_BYTES = 1024 * 1024 * 1024
"""Of all connections: twice the largest value that runs store, which SQLite holds twice."""


def limit_sqlite() -> None:
    """Let SQLite fail where it would take more memory than any run of ours needs.

    It takes the size that a row claims on trust, also of rows that it only passes on the way to
    another. The limit holds for the whole process, so no library may set it.
    """
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"PRAGMA hard_heap_limit = {MOST_BYTES}")
