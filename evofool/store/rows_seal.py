"""A digest of all rows of a run, stored beside them when it ends, so that damage shows.

SQLite keeps no checksums: a bit that flips in a number, a text or a blob gives another number, text
or blob. Whoever changes rows on purpose can write the digest anew, as with `evofool.seal`.
"""

from __future__ import annotations

import hashlib
import sqlite3

KEY = "rows_sha256"
"""In the table ``meta``; taken out by the first change after it."""
_BOOKED = "(key = 'probe_pictures' OR substr(key, 1, 5) = 'sent.')"
"""Rows of ``meta`` that `verify` and others may add to whatever the state of the run."""
_OF_BOOKED = "booked_sha256"
"""Their own digest, written anew with each of them."""


def rows_digest(db: sqlite3.Connection) -> str:
    """Hex sha256 of every row of every table, but for what is booked and the digest itself.

    By table in order of names, by row in order of primary keys: each value as its type, length and
    content.

    Raises:
        sqlite3.Error: they cannot be read.
    """
    digest = hashlib.sha256()
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    for (table,) in tables.fetchall():
        name = _quoted(table)
        columns = db.execute(f"PRAGMA table_info({name})").fetchall()
        keys = [column[1] for column in sorted(columns, key=lambda c: c[5]) if column[5]]
        order = ", ".join(map(_quoted, keys)) or "rowid"
        own = f"key IN ('{KEY}', '{_OF_BOOKED}')"
        where = f"WHERE NOT ({own} OR {_BOOKED})" if table == "meta" else ""
        digest.update(_text(table))
        for row in db.execute(f"SELECT * FROM {name} {where} ORDER BY {order}"):
            for value in row:
                if isinstance(value, bytes):
                    digest.update(b"b%d:" % len(value))
                    digest.update(value)
                else:
                    digest.update(_text(value))
    return digest.hexdigest()


def seal_bookings(db: sqlite3.Connection) -> None:
    """Write the digest of what is booked, in the transaction that has booked it."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_OF_BOOKED, _booked_digest(db)))


def is_whole(db: sqlite3.Connection) -> bool | None:
    """Whether all rows are those of their digests; None without that of the end of the run.

    Raises:
        sqlite3.Error: they cannot be read.
    """
    query = "SELECT key, value FROM meta WHERE key IN (?, ?)"
    stored = dict(db.execute(query, (KEY, _OF_BOOKED)).fetchall())
    if stored.get(_OF_BOOKED, booked := _booked_digest(db)) != booked:
        return False
    return None if KEY not in stored else stored[KEY] == rows_digest(db)


def _booked_digest(db: sqlite3.Connection) -> str:
    rows = db.execute(f"SELECT key, value FROM meta WHERE {_BOOKED} ORDER BY key")
    return hashlib.sha256(b"".join(_text(value) for row in rows for value in row)).hexdigest()


def _text(value: object) -> bytes:
    """A text, a number or None; floats by their shortest text, which is one a float."""
    text = (value if isinstance(value, str) else repr(value)).encode("utf-8", "surrogatepass")
    return b"%s%d:%s" % (type(value).__name__[:1].encode(), len(text), text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
