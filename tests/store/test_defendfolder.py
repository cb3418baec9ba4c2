"""The run folder of an evaluation: rows go in and come out; what is damaged is a message."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import FolderError, StoreError
from evofool.store import DefendFolder, DiagnosticRow, RunFolder, ThreatRow

from .conftest import CONFIG, MANIFEST  # type: ignore[import-not-found]  # tests are no package

DEFEND: dict[str, Any] = {**MANIFEST, "kind": "defend"}
ROW = ThreatRow("defended", "FGSM", "white", "..xrx", 15, 5, 0.5, "</b>")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    with DefendFolder.create(path, DEFEND, CONFIG) as folder:
        folder.commit_threat(0, ROW, 1.5)
        folder.commit_diagnostics([DiagnosticRow("b", None, "x"), DiagnosticRow("a", 0.1, "")], 2.5)
    return path


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as database:
        database.execute(statement)


def test_rows_come_out_as_they_went_in(run: Path) -> None:
    with DefendFolder.open(run) as folder:
        assert folder.threats("defended") == [ROW]
        assert folder.threats("undefended") == []
        assert folder.seconds() == 2.5
        assert [row.key for row in folder.diagnostics()] == ["a", "b"]
        assert folder.diagnostics()[1].value is None
    assert (ROW.n, ROW.errors, ROW.rejected, ROW.rate) == (5, 2, 1, 0.4)
    assert ROW.rate_of_first(3) == pytest.approx(1 / 3)
    assert ROW.rate_of_first(99) == 0.4


def test_a_threat_is_stored_once(run: Path) -> None:
    with DefendFolder.open(run, writable=True) as folder:
        with pytest.raises(StoreError, match="UNIQUE"):
            folder.commit_threat(0, ROW, 9.0)
        assert folder.seconds() == 2.5  # of that transaction nothing is left
        folder.commit_threat(1, ROW, 3.5)
        assert len(folder.threats("defended")) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE threats SET outcomes = '..?'",
        "UPDATE threats SET outcomes = ''",
        "UPDATE threats SET position = 1",
        "UPDATE threats SET queries = -1",
        "UPDATE threats SET seconds = 9e999",
    ],
)
def test_damaged_rows_are_refused(run: Path, statement: str) -> None:
    change(run, statement)
    with DefendFolder.open(run) as folder, pytest.raises(StoreError, match="damaged"):
        folder.threats("defended")


@pytest.mark.parametrize("text", ["-1", "nan", "soon"])
def test_damaged_seconds_are_refused(run: Path, text: str) -> None:
    change(run, f"UPDATE meta SET value = '{text}' WHERE key = 'seconds'")
    with DefendFolder.open(run) as folder, pytest.raises(StoreError, match="damaged"):
        folder.seconds()


def test_other_tables_are_refused(run: Path) -> None:
    change(run, "CREATE TRIGGER spy AFTER INSERT ON meta BEGIN DELETE FROM threats; END")
    with pytest.raises(StoreError, match="does not hold the tables"):
        DefendFolder.open(run)


@pytest.mark.parametrize("writable", [False, True])
def test_a_run_of_another_kind_is_refused_and_not_locked(run: Path, writable: bool) -> None:
    with pytest.raises(FolderError, match="not evolve"):
        RunFolder.open(run, writable=writable)
    with DefendFolder.open(run, writable=True):
        pass
