"""Links, pipes and devices in a run folder: never waited for, and nothing outside is written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from evofool.errors import FolderError, StoreError
from evofool.store import CampaignFolder, head_of
from evofool.store.files import json_object
from evofool.store.lock import acquire, is_held

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and links")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "elsewhere")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


IN_PLACE = {"pipe": pipe, "link": link, "device": device, "circle": circle, "folder": Path.mkdir}


@pytest.mark.parametrize("make", IN_PLACE.values(), ids=IN_PLACE)
def test_in_place_of_the_lock(folder: Path, make: Callable[[Path], None]) -> None:
    lock = folder / ".lock"
    lock.unlink(missing_ok=True)
    make(lock)
    assert not is_held(lock)
    with pytest.raises(StoreError, match=r"\.lock: is (a link|not a regular file).*; remove it"):
        CampaignFolder.open(folder, writable=True)
    assert not (folder.parent / "elsewhere").exists()
    with CampaignFolder.open(folder) as run:  # who reads needs no lock
        assert not run.busy


@pytest.mark.parametrize("make", IN_PLACE.values(), ids=IN_PLACE)
def test_in_place_of_the_lock_of_a_new_run(tmp_path: Path, make: Callable[[Path], None]) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    make(folder / ".lock")
    with pytest.raises(StoreError, match=r"\.lock: is (a link|not a regular file)"):
        CampaignFolder.create(folder, {"kind": "evolve"}, "")
    assert not (tmp_path / "elsewhere").exists()
    assert [entry.name for entry in folder.iterdir()] == [".lock"]


def test_a_lock_that_becomes_a_link_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    really = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: really(tmp_path.parent / "none" / path.name))
    with pytest.raises(StoreError, match="cannot be written"):
        acquire(tmp_path / ".lock")
    assert not os.path.lexists(tmp_path / "elsewhere")


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("make", IN_PLACE.values(), ids=IN_PLACE)
def test_beside_the_database(folder: Path, suffix: str, make: Callable[[Path], None]) -> None:
    path = folder / f"run.sqlite{suffix}"
    path.unlink(missing_ok=True)
    make(path)
    for writable in (False, True):
        with pytest.raises(StoreError, match=f"sqlite{suffix}: is (a link|not a regular file)"):
            CampaignFolder.open(folder, writable=writable)
    assert not (folder.parent / "elsewhere").exists()


def test_a_database_elsewhere_is_read_and_never_written(folder: Path) -> None:
    """Tools that keep large files apart leave links; to write would change what they keep."""
    (folder / "run.sqlite").rename(folder.parent / "elsewhere")
    (folder / "run.sqlite").symlink_to(folder.parent / "elsewhere")
    before = (folder.parent / "elsewhere").read_bytes()
    with CampaignFolder.open(folder) as run:
        assert run.meta() is not None
    with pytest.raises(StoreError, match=r"run\.sqlite: is a link"):
        CampaignFolder.open(folder, writable=True)
    assert (folder.parent / "elsewhere").read_bytes() == before
    with contextlib.closing(sqlite3.connect(folder.parent / "elsewhere")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "x" * 300, "x/" * 3000])
def test_a_folder_that_cannot_be_one(text: str, tmp_path: Path) -> None:
    path = tmp_path / text
    for writable in (False, True):
        with pytest.raises(FolderError, match=r"is not a run folder|no such folder"):
            CampaignFolder.open(path, writable=writable)
    with pytest.raises(FolderError, match="cannot be used as a run folder"):
        CampaignFolder.check_free(path)  # before a victim is loaded
    with pytest.raises(FolderError, match="cannot be used as a run folder"):
        CampaignFolder.create(path, {"kind": "evolve"}, "")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "Infinity", "NaN", "1" * 5000])
def test_numbers_that_json_or_floats_do_not_have(number: str) -> None:
    with pytest.raises(StoreError, match="damaged JSON"):
        json_object(f'{{"seconds": {number}}}', Path("summary.json"))


@pytest.mark.parametrize("victim", ["x", ["x"], 5, None])
def test_a_manifest_whose_victim_is_none(folder: Path, victim: object) -> None:
    with CampaignFolder.open(folder) as run:
        run.manifest["classifier"] = victim  # kinds whose manifest is not checked may say anything
        assert head_of(run)["classifier"] is None
