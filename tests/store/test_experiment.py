"""The run folder of an experiment: rows go in and come out; what is damaged is a message."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import FolderError, StoreError
from evofool.store import CampaignFolder
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.works import ArtifactRow, Cost, Read, StoredRow, WorkRow

from .conftest import CONFIG, MANIFEST  # type: ignore[import-not-found]  # tests are no package

DEFEND: dict[str, Any] = {**MANIFEST, "kind": "defend"}
WORK = WorkRow("a" * 64, "attacked", 1, "{}", cost=Cost(15, 15, 5, 0.5), notes=("</b>",))
ROWS = [StoredRow("answer", k, f'{{"item":{k}}}', b"png" if k else None) for k in range(3)]
NET = ArtifactRow(WORK.address, "weights", "training/a.safetensors", "d")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    with ExperimentFolder.create(path, DEFEND, CONFIG) as folder:
        folder.begin(WORK, [replace(NET, digest="")])
        folder.commit(WORK, ROWS, [NET], [Read("b" * 64, "victim", "e")], 2.5)
    return path


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as database:
        database.execute(statement)


def test_rows_come_out_as_they_went_in(run: Path) -> None:
    with ExperimentFolder.open(run) as folder:
        assert folder.works() == {WORK.address: WORK}
        assert folder.rows(WORK.address, "answer") == ROWS
        assert folder.rows(WORK.address, "other") == folder.rows("b" * 64, "answer") == []
        assert folder.contents(WORK.address, "answer")[2] == (2, '{"item":2}')
        assert (folder.png(WORK.address, "answer", 0), folder.png(WORK.address, "answer", 2)) == (
            None,
            b"png",
        )
        assert folder.artifacts() == [NET]
        assert folder.reads(WORK.address) == [Read("b" * 64, "victim", "e")]
        assert folder.seconds() == 2.5


def test_a_row_is_stored_once(run: Path) -> None:
    with ExperimentFolder.open(run, writable=True) as folder:
        other = replace(ROWS[1], content='{"item":1,"now":2}')
        folder.commit(WORK, [other])
        assert folder.rows(WORK.address, "answer") == [ROWS[0], other, ROWS[2]]


def test_two_works_cannot_lie_at_one_place(run: Path) -> None:
    """What was there first is moved aside, and stays whole."""
    (run / "training").mkdir()
    (run / NET.path).write_bytes(b"first")
    other = replace(WORK, address="c" * 64)
    with ExperimentFolder.open(run, writable=True) as folder:
        folder.begin(other, [replace(NET, address=other.address, digest="")])
        (moved,) = folder.artifacts(WORK.address)
        assert moved.path.startswith("unused/")
        assert (run / moved.path).read_bytes() == b"first"
        assert not (run / NET.path).exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE works SET finished = 2",
        "UPDATE works SET queries = -1",
        "UPDATE works SET seconds = 9e999",
        "UPDATE works SET notes = '[1]'",
        "UPDATE works SET versions = '[]'",
    ],
)
def test_damaged_works_are_refused(run: Path, statement: str) -> None:
    change(run, statement)
    with ExperimentFolder.open(run) as folder, pytest.raises(StoreError, match="damaged"):
        folder.works()


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "training/../../x"])
def test_artifacts_lie_inside_the_folder(run: Path, path: str) -> None:
    change(run, f"UPDATE artifacts SET path = '{path}'")
    with ExperimentFolder.open(run) as folder, pytest.raises(StoreError):
        folder.artifacts()


@pytest.mark.parametrize("text", ["-1", "nan", "soon"])
def test_damaged_seconds_are_refused(run: Path, text: str) -> None:
    change(run, f"UPDATE meta SET value = '{text}' WHERE key = 'seconds'")
    with ExperimentFolder.open(run) as folder, pytest.raises(StoreError, match="damaged"):
        folder.seconds()


def test_other_tables_are_refused(run: Path) -> None:
    change(run, "CREATE TRIGGER spy AFTER INSERT ON meta BEGIN DELETE FROM rows; END")
    with pytest.raises(StoreError, match="does not hold the tables"):
        ExperimentFolder.open(run)


@pytest.mark.parametrize("writable", [False, True])
def test_a_run_of_another_kind_is_refused_and_not_locked(run: Path, writable: bool) -> None:
    with pytest.raises(FolderError, match="not evolve"):
        CampaignFolder.open(run, writable=writable)
    with ExperimentFolder.open(run, writable=True):
        pass
