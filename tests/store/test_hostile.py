"""A run folder may come from anyone: what is wrong with it is a message, never more."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import StoreError
from evofool.store import CampaignFolder, IndividualId
from evofool.store.files import MAX_TEXT

READS: dict[str, Callable[[CampaignFolder], Any]] = {
    "meta": CampaignFolder.meta,
    "generations": CampaignFolder.generations,
    "last_generation": CampaignFolder.last_generation,
    "archive": CampaignFolder.archive,
    "individual": lambda run: run.individual(IndividualId(0, 0)),
    "wins": CampaignFolder.wins,
    "state": CampaignFolder.state,
    "check": CampaignFolder.check,
}


def change(folder: Path, *statements: str) -> None:
    """By hand, with everything allowed that SQLite can be talked into."""
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def refused(folder: Path, match: str) -> None:
    for writable in (False, True):
        with pytest.raises(StoreError, match=match) as info:
            CampaignFolder.open(folder, writable=writable)
        assert str(folder) in str(info.value)
    with pytest.raises(StoreError):  # and no lock stays behind
        CampaignFolder.open(folder, writable=True)


# the schema


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER spy AFTER INSERT ON meta BEGIN DELETE FROM elites; END",
        "CREATE VIEW spy AS SELECT * FROM meta",
        "CREATE TABLE spy (x)",
        "CREATE INDEX spy ON meta (value)",
        "DROP TABLE wins",
        "DROP INDEX held",
        "ALTER TABLE meta ADD COLUMN spy TEXT",
        "CREATE TRIGGER meta AFTER INSERT ON generations BEGIN DELETE FROM elites; END",
    ],
)
def test_another_schema_is_refused(folder: Path, statement: str) -> None:
    change(folder, statement)
    refused(folder, "does not hold the tables of schema 1")


def test_a_trigger_that_hides_behind_a_table_is_refused(folder: Path) -> None:
    """Or an index: of the same name, and listed before it."""
    change(
        folder,
        "CREATE TRIGGER held AFTER INSERT ON meta BEGIN DELETE FROM elites; END",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET rowid = 1000 WHERE type = 'index' AND name = 'held'",
    )
    with closing(sqlite3.connect(folder / "run.sqlite")) as database:
        rows = dict(database.execute("SELECT name, sql FROM sqlite_master").fetchall())
    assert rows["held"].startswith("CREATE INDEX")  # a careless look finds nothing
    refused(folder, "does not hold the tables")


@pytest.mark.parametrize("version", [0, 2, "1", None, [1], 1e300])
def test_another_version(folder: Path, version: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["schema_version"] = version
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused(folder, "this evofool reads 1")


# the manifest and the config


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"schema_version": 1',
        b"[1]",
        b"null",
        b'"text"',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"schema_version": ' + b"1" * 10_000 + b"}",
    ],
    ids=lambda text: f"{text[:8]!r}-{len(text)}",
)
def test_damaged_json(folder: Path, text: bytes) -> None:
    (folder / "manifest.json").write_bytes(text)
    refused(folder, r"manifest\.json: damaged JSON")


def test_a_manifest_that_is_not_text(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b'{"a": "\xff"}')
    refused(folder, r"manifest\.json: cannot be read")


@pytest.mark.parametrize("name", ["manifest.json", "config.yaml"])
def test_a_huge_file_is_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("wb") as file:
        file.truncate(8 * MAX_TEXT)  # takes no room
    refused(folder, f"{name}: .*is larger than")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_link_to_something_endless(folder: Path) -> None:
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").symlink_to("/dev/zero")
    refused(folder, r"config\.yaml: .*it is a device")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["manifest.json", "config.yaml", "run.sqlite"])
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refused(folder, r"is missing|is not a run folder|config\.yaml: .*it is a named pipe")


@pytest.mark.parametrize("name", ["config.yaml", "run.sqlite"])
def test_a_file_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, f"{name}: is missing")


def test_no_run_folder(tmp_path: Path) -> None:
    refused(tmp_path, "is not a run folder")
    refused(tmp_path / "nowhere", "there is no such folder")
    assert list(tmp_path.iterdir()) == []


# the database


@pytest.mark.parametrize("data", [b"", b"no database" * 99, b"SQLite format 3\0" + bytes(4080)])
def test_no_database(folder: Path, data: bytes) -> None:
    (folder / "run.sqlite").write_bytes(data)
    refused(folder, r"run\.sqlite: ")


def test_every_truncation_is_a_store_error(folder: Path) -> None:
    whole = (folder / "run.sqlite").read_bytes()
    assert len(whole) > 8192
    for size in range(512, len(whole), 1024):
        (folder / "run.sqlite").write_bytes(whole[:size])
        failed = 0
        try:
            with CampaignFolder.open(folder) as run:
                for read in READS.values():
                    try:
                        read(run)
                    except StoreError:
                        failed += 1
        except StoreError:
            failed += 1
        assert failed, size


def test_flipped_bytes_raise_nothing_but_store_errors(folder: Path) -> None:
    import numpy as np

    whole = np.frombuffer((folder / "run.sqlite").read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(120):
        data = whole.copy()
        at = rng.integers(0, len(data), rng.integers(1, 200))
        data[at] = rng.integers(0, 256, len(at), dtype=np.uint8)
        data[:100] = whole[:100]  # the header is tested above
        (folder / "run.sqlite").write_bytes(data.tobytes())
        for read in READS.values():
            try:
                with CampaignFolder.open(folder) as run:
                    read(run)
            except StoreError as error:
                assert str(folder) in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("table", "column", "value", "reads"),
    [
        ("meta", "value", "7", ["meta"]),
        ("meta", "value", "x'ff'", ["meta"]),
        ("state", "value", "1000000000000", ["state"]),  # bytes(10**12) would be 1 TB
        ("state", "value", "'text'", ["state"]),
        ("generations", "stats", "5", ["generations", "last_generation"]),
        ("generations", "stats", "'[1]'", ["generations"]),
        ("generations", "stats", "'{'", ["generations"]),
        ("generations", "batch", "'many'", ["generations"]),
        ("generations", "seconds", "'long'", ["generations"]),
        ("individuals", "parents", "5", ["archive", "individual"]),
        ("individuals", "parents", "'0:0 1'", ["archive", "individual"]),
        ("individuals", "parents", "'-1:0'", ["archive"]),
        ("individuals", "parents", "'٣:٤'", ["archive"]),
        ("individuals", "parent_cells", "'one'", ["archive", "individual"]),
        ("individuals", "sha256", "'text'", ["archive", "individual"]),
        ("individuals", "genome", "'text'", ["archive"]),
        ("individuals", "genome", "NULL", ["archive"]),
        ("wins", "replaced", "' '", ["wins"]),
        ("wins", "replaced", "'0:0 0:1'", ["wins"]),
        ("wins", "log_odds", "'high'", ["wins"]),
        ("elites", "fitness", "x'00'", ["archive"]),
        ("elites", "idx", "99", ["archive"]),
    ],
)
def test_values_of_the_wrong_kind(
    folder: Path, table: str, column: str, value: str, reads: list[str]
) -> None:
    """The tables say STRICT, but a made-up file may hold anything."""
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as database:
        (sql,) = database.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        database.execute("PRAGMA writable_schema = ON")
        lax = sql.replace("STRICT, WITHOUT", "WITHOUT").removesuffix("STRICT")
        for kind in ("TEXT", "REAL", "INTEGER", "BLOB"):
            lax = lax.replace(f"{column} {kind}", column)
        lax = lax.replace("NOT NULL", "")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (lax, table))
    change(folder, f"UPDATE {table} SET {column} = {value}")
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table))
    with CampaignFolder.open(folder) as run:
        for name in reads:
            with pytest.raises(StoreError):
                READS[name](run)


def test_check_says_what_is_wrong(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        (sql,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'meta'").fetchone()
        lax = sql.replace("NOT NULL) STRICT", ")")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'meta'", (lax,))
    change(folder, "UPDATE meta SET value = NULL")
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'meta'", (sql,))
    with CampaignFolder.open(folder) as run:
        assert any("NULL" in line for line in run.check())


@pytest.mark.parametrize("text", ["", ":", "1:", ":1", "1:2:3", "-1:2", " 1:2", "1:2\n", "١:٢"])
def test_no_individual(text: str) -> None:
    with pytest.raises(ValueError, match="is not an individual g:i"):
        IndividualId.parse(text)


def test_individuals_are_written_g_i() -> None:
    assert str(IndividualId(12, 3)) == "12:3"
    assert IndividualId.parse("12:3") == IndividualId(12, 3)
    with pytest.raises(ValueError, match="not an individual"):
        IndividualId.parse("1" * 19 + ":0")
