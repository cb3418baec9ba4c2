"""Kept answers: there after a kill, shared by threads and runs, and none trusted blindly."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evofool.errors import StoreError
from evofool.store.answers import FILE, Answers


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "new" / "folder")
    answers.keep({key(i): bytes([i]) for i in range(10)})
    other = Answers(tmp_path / "new" / "folder")  # as after a kill: nothing was closed
    assert other.find([key(3), key(99), key(4)]) == {key(3): b"\x03", key(4): b"\x04"}
    assert other.find([]) == {}


def test_more_than_one_statement_takes(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.keep({key(i): b"x" for i in range(1300)})
    assert len(answers.find([key(i) for i in range(1300)])) == len(answers) == 1300


def test_threads_and_runs_share_a_folder(tmp_path: Path) -> None:
    places = [Answers(tmp_path) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: places[i % 3].keep({key(i): b"x"}), range(60)))
    assert len(places[0]) == 60


def test_what_was_tampered_with_is_not_there(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.keep({key(1): b"abc", key(2): b"def"})
    answers._db.execute("UPDATE answers SET value = 'text' WHERE address = ?", (key(1),))
    assert answers.find([key(1), key(2)]) == {key(2): b"def"}
    answers._db.execute("UPDATE answers SET value = x'00' WHERE address = ?", (key(2),))
    assert answers.find([key(2)]) == {}


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        Answers(tmp_path)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="link"):
        Answers(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Answers(tmp_path / "file")


def test_another_table_of_that_name(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("CREATE TABLE answers (x)")
    answers = Answers(tmp_path)
    with pytest.raises(StoreError):
        answers.find([key(1)])
    with pytest.raises(StoreError):
        answers.keep({key(1): b"x"})
