"""A run folder: what is committed is what is read, all of it or none, by one writer at a time."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import RunBusyError, StoreError
from evofool.store import (
    CampaignFolder,
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
)

from .conftest import MANIFEST  # type: ignore[import-not-found]  # tests are no package

MakeDelta = Callable[..., Delta]
FIRST, SECOND = IndividualId(0, 0), IndividualId(1, 0)


@contextmanager
def held_elsewhere(path: Path) -> Iterator[None]:
    """Another process has the run open for writing."""
    code = (
        "import sys; from pathlib import Path; from evofool.store import CampaignFolder\n"
        "with CampaignFolder.open(Path(sys.argv[1]), writable=True):\n"
        "    print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield
        other.communicate(timeout=600)
    assert other.returncode == 0


# round trips


def test_what_is_committed_is_what_is_read(folder: Path) -> None:
    with CampaignFolder.open(folder) as run:
        assert run.manifest["schema_version"] == 1
        assert run.manifest["classifier"]["labels"] == ["ä", "</b>"]
        assert run.config_text == "seed: 7\nclassifier: {name: größer}\n"
        assert run.generations() == [
            GenerationRow(0, 20, 24, 8, 0.5, {"best": 0.25}),
            GenerationRow(1, 20, 24, 8, 1.5, {"best": 0.25}),
        ]
        assert run.last_generation() == run.generations()[1]
        archive = run.archive()
        assert archive.elites == (
            EliteRow(0, FIRST, 1.5, 1.5, 0.75, True),
            EliteRow(1, SECOND, 1.5, 1.5, 0.75, False),
            EliteRow(2, FIRST, 1.5, 1.5, 0.75, False),
        )
        assert archive.holders == {
            FIRST: IndividualRow(FIRST, (), (0, 1), bytes(32), b"genome 0"),
            SECOND: IndividualRow(SECOND, (FIRST,), (1,), bytes(32), b"genome 1"),
        }
        assert run.wins() == [
            *(WinRow(FIRST, c, 1.5, 0.75, None) for c in (0, 1, 2)),
            WinRow(SECOND, 1, 1.5, 0.75, FIRST),
        ]
        assert run.state() == {"rates": b"\0\1"}
        assert run.meta() == {"status": "running", "generation": "1"}
        assert run.individual(SECOND) == archive.holders[SECOND]
        assert run.individual(IndividualId(9, 9)) is None
        assert run.check() == []
        assert run.summary() is None


def test_an_empty_run(tmp_path: Path) -> None:
    with CampaignFolder.create(tmp_path / "a" / "b", MANIFEST, "") as run:
        assert run.last_generation() is None
        assert run.generations() == run.wins() == []
        assert run.archive().elites == ()
        assert run.state() == run.meta() == {}


def test_infinite_log_odds_survive(folder: Path) -> None:
    inf = float("inf")
    with CampaignFolder.open(folder, writable=True) as run:
        run.commit(Delta(wins=[WinRow(SECOND, 0, -inf, 0.0, None)]))
        run.commit(Delta(elites={0: EliteRow(0, SECOND, inf, inf, 1.0, True)}))
        assert run.archive().elites[0].log_odds == inf
        assert run.wins()[-2].log_odds == -inf


def test_genomes_no_cell_holds_are_freed(folder: Path, make_delta: MakeDelta) -> None:
    with CampaignFolder.open(folder, writable=True) as run:
        assert set(run.archive().holders) == {FIRST, SECOND}
        run.commit(make_delta(2, {0: FIRST, 2: FIRST}))  # the last cells of the first
        assert set(run.archive().holders) == {SECOND, IndividualId(2, 0)}
        gone = run.individual(FIRST)
        assert gone is not None
        assert gone.genome is None
        assert gone.sha256 == bytes(32)  # by which a replay is checked
        run.commit(Delta(meta={"status": "finished"}))
        assert set(run.archive().holders) == {SECOND, IndividualId(2, 0)}


def test_committing_again_replaces(folder: Path, make_delta: MakeDelta) -> None:
    with CampaignFolder.open(folder, writable=True) as run:
        before = run.archive(), run.wins(), run.generations(), run.state(), run.meta()
        run.commit(make_delta(1, {1: FIRST}))
        assert (run.archive(), run.wins(), run.generations(), run.state(), run.meta()) == before


def test_it_survives_closing_and_closing_again(folder: Path) -> None:
    run = CampaignFolder.open(folder, writable=True)
    run.close()
    run.close()
    assert not list(folder.glob("run.sqlite-*"))  # all is in one file that can be copied
    with CampaignFolder.open(folder, writable=True):
        pass


# one transaction


@pytest.mark.parametrize("broken", ["wins", "elites", "generations", "state", "meta"])
def test_a_transaction_is_all_or_nothing(folder: Path, make_delta: MakeDelta, broken: str) -> None:
    with CampaignFolder.open(folder, writable=True) as run:
        before = run.archive(), run.wins(), run.generations(), run.state(), run.meta()
        delta = make_delta(2, {0: FIRST, 1: SECOND, 2: FIRST})
        nan: Any = float("nan")  # which SQLite stores as NULL, and the tables refuse
        nothing: Any = None
        if broken == "wins":
            delta.wins.append(WinRow(SECOND, 9, nan, 0.5, None))
        elif broken == "elites":
            delta.elites[9] = EliteRow(9, SECOND, nan, 0.5, 0.5, False)
        elif broken == "generations":
            delta.generations.append(GenerationRow(3, 1, 1, 1, nan, {}))
        else:
            getattr(delta, broken)["bad"] = nothing
        with pytest.raises(StoreError, match=r"run\.sqlite"):
            run.commit(delta)
        assert (run.archive(), run.wins(), run.generations(), run.state(), run.meta()) == before
    with CampaignFolder.open(folder) as again:
        after = again.archive(), again.wins(), again.generations(), again.state(), again.meta()
        assert after == before


def test_an_interrupt_in_the_middle_leaves_nothing(folder: Path, make_delta: MakeDelta) -> None:
    class Interrupting:
        """The database, until the third table is written."""

        def __init__(self, inner: sqlite3.Connection) -> None:
            self.inner = inner
            self.left = 3

        def executemany(self, *arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return self.inner.executemany(*arguments)

        def execute(self, *arguments: Any) -> Any:
            return self.inner.execute(*arguments)

        def __enter__(self) -> Any:
            return self.inner.__enter__()

        def __exit__(self, *arguments: Any) -> Any:
            return self.inner.__exit__(*arguments)

    with CampaignFolder.open(folder, writable=True) as run:
        before = run.archive(), run.wins()
        database: Any = run._db
        stub: Any = Interrupting(database)
        run._db = stub
        with pytest.raises(KeyboardInterrupt):
            run.commit(make_delta(2, {0: FIRST}))
        run._db = database
        assert (run.archive(), run.wins()) == before
        run.commit(make_delta(2, {0: FIRST}))
        assert run.archive().elites[0].id == IndividualId(2, 0)


def test_what_sqlite_cannot_hold_is_a_store_error(folder: Path) -> None:
    with CampaignFolder.open(folder, writable=True) as run:
        for delta in (
            Delta(meta={"status": "\udcff"}),
            Delta(wins=[WinRow(IndividualId(2**70, 0), 0, 0.0, 0.5, None)]),
        ):
            with pytest.raises(StoreError, match=r"run\.sqlite"):
                run.commit(delta)
        assert run.meta()["status"] == "running"


# one writer, many readers


def test_a_second_writer_is_refused(folder: Path) -> None:
    with (
        CampaignFolder.open(folder, writable=True),
        pytest.raises(RunBusyError, match="in use") as info,
    ):
        CampaignFolder.open(folder, writable=True)
    assert info.value.exit_code == 3
    assert str(folder) in str(info.value)
    with CampaignFolder.open(folder, writable=True):
        pass


def test_a_second_process_is_refused(folder: Path) -> None:
    with held_elsewhere(folder):
        with pytest.raises(RunBusyError):
            CampaignFolder.open(folder, writable=True)
        with CampaignFolder.open(folder) as run:  # but may read
            assert len(run.generations()) == 2
    with CampaignFolder.open(folder, writable=True):  # the lock went with the process
        pass


def test_a_killed_process_leaves_no_lock(forked: Any, folder: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from evofool.store import *\n"
        "run = CampaignFolder.open(Path(sys.argv[1]), writable=True)\n"
        "run.commit(Delta(meta={'status': 'killed'}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert forked(code, folder).end().returncode == -signal.SIGKILL
    with CampaignFolder.open(folder) as run:  # a reader recovers the log
        assert run.meta()["status"] == "killed"
    with CampaignFolder.open(folder, writable=True) as run:
        assert run.meta()["status"] == "killed"
        assert run.check() == []


def test_reading_while_writing(folder: Path, make_delta: MakeDelta) -> None:
    with (
        CampaignFolder.open(folder, writable=True) as writer,
        CampaignFolder.open(folder) as reader,
    ):
        previous = SECOND
        for generation in range(2, 30):
            writer.commit(make_delta(generation, {1: previous}))
            previous = IndividualId(generation, 0)
            assert reader.archive().elites[1].id == previous
            assert len(reader.generations()) == generation + 1


def test_an_archive_is_of_one_moment(
    folder: Path, make_delta: MakeDelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit between reading the cells and reading their holders must not show."""
    with (
        CampaignFolder.open(folder, writable=True) as writer,
        CampaignFolder.open(folder) as reader,
    ):
        before = reader.archive()
        read = reader._individuals

        def late(*arguments: Any) -> Any:
            writer.commit(make_delta(2, {0: FIRST, 1: SECOND, 2: FIRST}))
            return read(*arguments)

        monkeypatch.setattr(reader, "_individuals", late)
        assert reader.archive() == before
        monkeypatch.undo()
        assert set(reader.archive().holders) == {IndividualId(2, 0)}


def test_a_reader_cannot_write(folder: Path, make_delta: MakeDelta) -> None:
    with CampaignFolder.open(folder) as run:
        with pytest.raises(StoreError, match="readonly"):
            run.commit(make_delta(2, {0: FIRST}))
        assert len(run.generations()) == 2


@pytest.mark.parametrize("permissions", ["pretended", "real"])
def test_a_run_in_a_folder_of_someone_else_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, permissions: str
) -> None:
    if permissions == "pretended":
        monkeypatch.setattr(os, "access", lambda *_: False)
    elif os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folder.chmod(0o500)
    try:
        with CampaignFolder.open(folder) as run:
            assert len(run.archive().elites) == 3
            assert run.check() == []
        assert {path.name for path in folder.iterdir()} == {
            ".lock", "config.yaml", "manifest.json", "run.sqlite"
        }  # fmt: skip
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("name", ["a b", "50%", "was ist?", "nr#1", "größer", "x?mode=memory"])
def test_any_path_holds_a_run(tmp_path: Path, name: str, make_delta: MakeDelta) -> None:
    path = tmp_path / name
    with CampaignFolder.create(path, MANIFEST, "") as run:
        run.commit(make_delta(0, {0: None}))
    assert (path / "run.sqlite").stat().st_size > 0
    with CampaignFolder.open(path) as run:
        assert len(run.archive().elites) == 1


def test_a_run_at_a_relative_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    with CampaignFolder.open(Path("run")) as run:
        assert len(run.generations()) == 2


def test_a_locking_that_does_not_work_is_not_called_busy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StoreError, match="cannot be locked") as info:
        CampaignFolder.open(folder, writable=True)
    assert not isinstance(info.value, RunBusyError)


# making one


def test_a_folder_with_a_run_is_not_taken(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StoreError, match="already holds a run; continue it with `evofool resume"):
        CampaignFolder.create(folder, MANIFEST, "")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_of_others_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(StoreError, match="is not empty; give another --out"):
        CampaignFolder.create(tmp_path, MANIFEST, "")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(StoreError, match="cannot be used as a run folder"):
            CampaignFolder.create(path, MANIFEST, "")
    with pytest.raises(StoreError, match="cannot be used as a run folder"):
        CampaignFolder.create(tmp_path / "a\0b", MANIFEST, "")


@pytest.mark.parametrize("killed_at", ["manifest.json", "config.yaml"])
def test_a_half_made_run_is_no_run_and_can_be_made_anew(
    forked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    """Killed while writing that file: its temporary copy is left beside the database."""
    path = tmp_path / "run"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from evofool.store import CampaignFolder\n"
        "replace = Path.replace\n"
        "def kill(self, target):\n"
        "    if target.name == sys.argv[2]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return replace(self, target)\n"
        "Path.replace = kill\n"
        "CampaignFolder.create(Path(sys.argv[1]), {'kind': 'evolve', 'seed': 1}, 'half')"
    )
    assert forked(code, path, killed_at).end().returncode == -signal.SIGKILL
    left = {entry.name for entry in path.iterdir()}
    assert "run.sqlite" in left
    assert any(name.endswith(".tmp") for name in left)
    with pytest.raises(StoreError, match=r"is not a run folder \(it has no manifest\.json\)"):
        CampaignFolder.open(path)
    with CampaignFolder.create(path, {**MANIFEST, "seed": 2}, "whole") as run:
        assert run.generations() == []
    with CampaignFolder.open(path) as run:
        assert (run.manifest["seed"], run.config_text) == (2, "whole")
    assert not list(path.glob(".*.tmp"))


def test_two_who_make_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who looked first and locked last must not wipe out the other's run."""
    from evofool.store import folder

    path = tmp_path / "run"
    acquire = folder.acquire

    def slow(lock: Path) -> int:
        monkeypatch.setattr(folder, "acquire", acquire)
        with CampaignFolder.create(path, {**MANIFEST, "seed": 1}, "first") as other:
            other.commit(Delta(meta={"status": "finished"}))
        return acquire(lock)

    monkeypatch.setattr(folder, "acquire", slow)
    with pytest.raises(StoreError, match="already holds a run"):
        CampaignFolder.create(path, {**MANIFEST, "seed": 2}, "second")
    with CampaignFolder.open(path, writable=True) as run:
        assert run.config_text == "first"
        assert run.meta() == {"status": "finished"}


def test_while_another_process_is_making_it(tmp_path: Path) -> None:
    from evofool.store import lock

    path = tmp_path / "run"
    path.mkdir()
    handle = lock.acquire(path / ".lock")
    with pytest.raises(RunBusyError):
        CampaignFolder.create(path, MANIFEST, "")
    os.close(handle)
    CampaignFolder.create(path, MANIFEST, "").close()


def test_a_path_that_is_not_utf8_goes_into_the_manifest(tmp_path: Path) -> None:
    name = b"victim-\xff.onnx".decode(errors="surrogateescape")
    with CampaignFolder.create(tmp_path / "run", {**MANIFEST, "source": name}, "") as run:
        run.write_json("summary.json", {"source": name, "label": "日本語"})
    with CampaignFolder.open(tmp_path / "run") as run:
        assert run.manifest["source"] == name
        assert run.summary() == {"source": name, "label": "日本語"}
    assert "日本語" in (tmp_path / "run" / "summary.json").read_text(encoding="utf-8")


# derived files


def test_derived_files(folder: Path) -> None:
    with CampaignFolder.open(folder) as run:
        path = run.write_file("images/0003.png", b"pixels", durable=False)
        assert path == folder / "images" / "0003.png"
        assert path.read_bytes() == b"pixels"
        run.write_file("images/0003.png", b"others")
        assert path.read_bytes() == b"others"
        run.write_json("summary.json", {"cells": 3})
        assert run.summary() == {"cells": 3}
    assert [entry.name for entry in (folder / "images").iterdir()] == ["0003.png"]


@pytest.mark.parametrize("name", ["../x", "images/../../x", "/tmp/x", "", ".", "a\0b", ".."])
def test_a_name_that_leads_out_is_refused(folder: Path, name: str) -> None:
    with CampaignFolder.open(folder) as run, pytest.raises(StoreError, match="does not lie inside"):
        run.write_file(name, b"")


def test_a_link_that_leads_out_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "images").symlink_to(outside)
    (folder / "gallery").symlink_to(tmp_path / "new")
    with CampaignFolder.open(folder) as run:
        for name in ("images/0001.png", "images/deep/0001.png", "gallery/index.html"):
            with pytest.raises(StoreError, match="a link leads out"):
                run.write_file(name, b"")
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "new").exists()


def test_a_link_in_place_of_a_file_is_replaced_not_followed(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    (folder / "summary.json").symlink_to(target)
    with CampaignFolder.open(folder) as run:
        run.write_json("summary.json", {})
    assert target.read_text() == "untouched"
    assert not (folder / "summary.json").is_symlink()


def test_a_run_reached_by_a_link_is_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(folder)
    with CampaignFolder.open(tmp_path / "latest", writable=True) as run:
        run.write_file("images/0001.png", b"pixels")
    assert (folder / "images" / "0001.png").read_bytes() == b"pixels"


def test_a_file_in_place_of_a_folder(folder: Path) -> None:
    (folder / "images").write_text("")
    with CampaignFolder.open(folder) as run:
        with pytest.raises(StoreError, match="images: cannot be written"):
            run.write_file("images/0001.png", b"")
        (folder / "summary.json").mkdir()
        with pytest.raises(StoreError, match=r"summary\.json: cannot be written"):
            run.write_json("summary.json", {})
    assert not list(folder.glob(".*.tmp"))


def test_manifest_and_config_are_replaced(folder: Path) -> None:
    with CampaignFolder.open(folder, writable=True) as run:
        run.write_manifest({**run.manifest, "created": "elsewhere"})
        run.write_config("stop: {generations: 9}\n")
        assert run.manifest["created"] == "elsewhere"
    with CampaignFolder.open(folder) as run:
        assert run.manifest["created"] == "elsewhere"
        assert run.config_text == "stop: {generations: 9}\n"
        assert json.loads((folder / "manifest.json").read_bytes()) == run.manifest


def test_the_truth_is_one_file(folder: Path) -> None:
    """What SQLite itself says of a closed run, without evofool."""
    with closing(sqlite3.connect(folder / "run.sqlite")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM elites").fetchone() == (3,)
