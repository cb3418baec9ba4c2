"""Rows come over from another run with all that they stand on, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_works import RAN, Count, Length, Note, Sum, Value, planned

from evofool.errors import FolderError, StoreError
from evofool.experiments.engine import Meter, Results, run_plan
from evofool.experiments.engine.reuse import reuse
from evofool.store.experiment import ExperimentFolder
from evofool.store.manifest import new_manifest
from evofool.store.records.works import Cost

CarryOut = Callable[..., Results]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A run that has found out the length of a note and a sum."""
    path = tmp_path / "other"
    manifest = {**new_manifest("toy", None, 1, None), "run_id": "other-run"}
    with ExperimentFolder.create(path, manifest, "kind: toy\n") as run:
        plan = planned(Note("abc"), Length(Note("abc")), Sum((Count(3),)))
        run_plan(plan, run, Meter(None, None, 0.0))
    RAN.clear()
    return path


def test_rows_and_files_come_over(
    folder: ExperimentFolder, other: Path, carry_out: CarryOut
) -> None:
    plan = planned(Count(4), Length(Note("abc")), Sum((Count(3), Count(4))))
    (taken,) = reuse(plan, folder, [other])
    assert taken.run_id == "other-run"
    assert set(taken.works) == {"note", "length 1", "count"}
    results = carry_out(plan)
    assert RAN == ["count 4", "sum"]
    assert [row.value for row in results.rows(Length(Note("abc")), Value)] == [3]
    assert results.picture(Count(3), Value, 2) == bytes([2])
    assert folder.works()[Count(3).address].origin == "other-run"
    # under the name that this plan has for it
    (artifact,) = folder.artifacts(Note("abc").address)
    assert (folder.path / artifact.path).read_text() == "abc"


def test_nothing_comes_over_without_what_it_stands_on(
    folder: ExperimentFolder, other: Path
) -> None:
    (other / "notes" / "0.txt").unlink()
    (taken,) = reuse(planned(Length(Note("abc"))), folder, [other])
    assert taken.works == ()
    assert folder.works() == {}


def test_a_damaged_file_is_not_taken(folder: ExperimentFolder, other: Path) -> None:
    (other / "notes" / "0.txt").write_text("abd")
    (taken,) = reuse(planned(Length(Note("abc"))), folder, [other])
    assert taken.works == ()


def test_a_damaged_row_is_refused(folder: ExperimentFolder, other: Path) -> None:
    with sqlite3.connect(other / "run.sqlite") as db:
        db.execute("UPDATE rows SET content = replace(content, '3', '\"3\"')")
    with pytest.raises(StoreError, match=r"damaged: value 0: value"):
        reuse(planned(Length(Note("abc"))), folder, [other])
    assert not any(work.finished for work in folder.works().values() if work.kind == "length")


def test_what_is_here_with_other_bytes_is_not_mixed(
    folder: ExperimentFolder, other: Path, carry_out: CarryOut
) -> None:
    carry_out(planned(Note("abc", "made here")))
    (taken,) = reuse(planned(Note("abc"), Length(Note("abc"))), folder, [other])
    assert taken.works == ()


def test_costs_of_what_came_over_are_not_this_runs(
    folder: ExperimentFolder, other: Path, carry_out: CarryOut
) -> None:
    with sqlite3.connect(other / "run.sqlite") as db:
        db.execute("UPDATE works SET queries = 5 WHERE kind = 'count'")
    plan = planned(Sum((Count(3),)))
    reuse(plan, folder, [other])
    results = carry_out(plan)
    assert results.cost(Sum((Count(3),))) == Cost(seconds=results.cost(Sum((Count(3),))).seconds)
    assert results.whole_cost([Sum((Count(3),)), Count(3)]).queries == 5  # each address once
    here = [work for work in folder.works().values() if not work.origin]
    assert sum(work.cost.queries for work in here) == 0


def test_how_long_it_took_counts_the_runs_that_works_came_from(
    folder: ExperimentFolder, other: Path, carry_out: CarryOut
) -> None:
    assert carry_out(planned(Count(4))).took() == "0 s"
    with sqlite3.connect(other / "run.sqlite") as db:
        db.execute("UPDATE works SET seconds = 1700 WHERE kind = 'count'")
    plan = planned(Count(3), Count(4))
    reuse(plan, folder, [other])
    folder.set_meta({"seconds": "2.0"})
    whole = "1,700 s in earlier runs, from which"
    assert Results(folder, plan).took() == f"2 s, and {whole} 1 of the 2 works were reused"
    folder.set_meta({"seconds": "0.1"})
    assert Results(folder, planned(Count(3))).took() == f"{whole} all works were reused"


def test_a_folder_without_rows_is_refused(folder: ExperimentFolder, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such folder"):
        reuse(planned(Count(1)), folder, [tmp_path / "nowhere"])
