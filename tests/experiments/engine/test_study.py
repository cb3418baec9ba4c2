"""The life of a run folder of an experiment that is declared in eighty lines."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from plain_colours import Colours

from evofool.errors import (
    ConfigError,
    EvofoolError,
    FolderError,
    Interrupted,
    StoreError,
    UsageError,
)
from evofool.experiments.engine import (
    Options,
    begin,
    redraw,
    resume,
    status,
    verify,
)

SUPPORT = Path(__file__).parents[2] / "support"


def config(**changes: Any) -> dict[str, Any]:
    return {"kind": "colours", "nets": ["mnist-lenet"], **changes}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    begin(Colours, config(), tmp_path / "run", command="evofool run colours.yaml")
    return tmp_path / "run"


def edit(run: Path, **changes: Any) -> None:
    path = run / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def ok(run: Path) -> dict[str, bool | None]:
    return {check.name: check.ok for check in verify(Colours, run)}


def test_it_is_as_short_as_promised() -> None:
    lines = (SUPPORT / "plain_colours.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 80


def test_a_run_leaves_its_tables_and_its_page(run: Path) -> None:
    with (run / "colours.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["level"] for row in table] == ["0", "128", "255"]
    assert all(0 < float(row["confidence"]) <= 1 for row in table)
    assert (run / "report" / "index.html").is_file()
    assert all(ok(run).values())
    stand = status(Colours, run)
    assert (stand["status"], stand["works"], stand["finished"]) == ("finished", 1, 1)
    assert stand["queries"] == 3


def test_an_edited_config_is_another_plan(run: Path) -> None:
    before = (run / "colours.csv").read_text()
    edit(run, nets=["mnist-lenet", "fashion-lenet"])
    assert ok(run)["config"] is False
    told: list[str] = []
    resume(Colours, run, options=Options(say=told.append))
    (text,) = told
    assert "kept: colours, mnist-lenet\nnew: colours, fashion-lenet\n" in text
    assert (run / "colours.csv").read_text().startswith(before)
    assert status(Colours, run)["queries"] == 6  # three of them new
    assert all(ok(run).values())
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["changes"][0]["set"] == {
        "nets": [["mnist-lenet"], ["mnist-lenet", "fashion-lenet"]]
    }
    # back again: what is there is not done again, and what is not used is counted
    edit(run, nets=["mnist-lenet"])
    told.clear()
    resume(Colours, run, options=Options(say=told.append))
    assert "no longer used: colours, fashion-lenet" in told[0]
    assert (run / "colours.csv").read_text() == before
    stand = status(Colours, run)
    assert (stand["unused"], stand["queries"]) == (1, 6)


def test_an_unedited_config_is_not_told_of(run: Path) -> None:
    told: list[str] = []
    resume(Colours, run, options=Options(say=told.append))
    assert told == []


def test_rows_of_another_run_are_taken_over(run: Path, tmp_path: Path) -> None:
    told: list[str] = []
    nets = ["fashion-lenet", "mnist-lenet"]
    options = Options(reuse=[run], say=told.append)
    begin(Colours, config(nets=nets), tmp_path / "other", options=options)
    assert told == [f"taken over from {run}: colours, mnist-lenet"]
    stand = status(Colours, tmp_path / "other")
    assert (stand["reused"], stand["queries"]) == (1, 3)
    assert all(ok(tmp_path / "other").values())


def test_a_stop_is_told_with_the_way_on(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="what is done is saved; continue with: evofool resume"):
        begin(Colours, config(), tmp_path / "run", options=Options(should_stop=lambda: True))
    assert status(Colours, tmp_path / "run")["status"] == "interrupted"
    assert ok(tmp_path / "run")["colours, mnist-lenet"] is None
    with pytest.raises(FolderError, match="cannot be drawn yet: colours, mnist-lenet not done"):
        redraw(Colours, tmp_path / "run")
    resume(Colours, tmp_path / "run")
    assert all(ok(tmp_path / "run").values())


def test_a_report_can_always_be_drawn_again(run: Path) -> None:
    before = (run / "colours.csv").read_bytes()
    (run / "colours.csv").unlink()
    (run / "report" / "index.html").write_text("lost")
    assert ok(run)["colours.csv"] is ok(run)["report/index.html"] is False
    redraw(Colours, run)
    assert (run / "colours.csv").read_bytes() == before
    assert status(Colours, run)["queries"] == 3
    assert all(ok(run).values())


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE rows SET content = '{}'", "damaged: sureness 0"),
        ("UPDATE rows SET content = '{\"item\": 0}' WHERE item = 0", "damaged: sureness 0"),
        ("UPDATE works SET queries = -1", "is damaged"),
        ("UPDATE works SET notes = '3'", "damaged"),
        ("UPDATE works SET finished = 7", "is damaged"),
        ("UPDATE meta SET value = '[3]' WHERE key = 'plan'", "its plan is damaged"),
        ("UPDATE meta SET value = 'x' WHERE key = 'seconds'", "its seconds are damaged"),
        ("CREATE TABLE more (x TEXT)", "does not hold the tables"),
        ("CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END", "tables of schema"),
        ("INSERT INTO artifacts VALUES ('ab', 'x', '../../etc/passwd', 'cd')", "lie inside"),
    ],
)
def test_damage_is_one_clear_error(run: Path, statement: str, message: str) -> None:
    with sqlite3.connect(run / "run.sqlite") as db:
        db.execute(statement)
        db.execute("DELETE FROM meta WHERE key = 'rows_sha256'")  # as whoever means it would

    def everything() -> None:
        status(Colours, run)
        for check in verify(Colours, run):
            if check.ok is False:
                raise StoreError(check.detail)
        resume(Colours, run)

    with pytest.raises(StoreError, match=message):
        everything()


def test_other_folders_and_options_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="holds a run"):
        begin(Colours, config(), run)
    with pytest.raises(UsageError, match="--classifier: an experiment names several nets"):
        resume(Colours, run, classifier="mnist-lenet")
    with pytest.raises(UsageError, match=r"only scoring\.workers"):
        resume(Colours, run, overrides=["levels=[1]"])
    with pytest.raises(FolderError, match="no such folder"):
        resume(Colours, tmp_path / "nowhere")
    (run / "config.yaml").write_text("nets: 3\n")
    with pytest.raises(EvofoolError, match="damaged"):
        resume(Colours, run)
    with pytest.raises(ConfigError, match="nets"):
        begin(Colours, config(nets=3), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_version_that_is_not_ours_is_refused(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(StoreError, match=rf"{run}: has schema version 99"):
        status(Colours, run)
