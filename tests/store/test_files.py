"""A file is the old one or the new one, whenever the process is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import StoreError
from evofool.store import write_atomically

WRITER = """
import sys
from pathlib import Path
from evofool.store import write_atomically

path, durable = Path(sys.argv[1]), sys.argv[2] == "durable"
for i in range(10**9):
    write_atomically(path, bytes([i % 251]) * 300_000, durable=durable)
    if i == int(sys.argv[3]):
        Path(sys.argv[4]).touch()
"""


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    for data in (b"", b"one", b"two" * 100_000):
        write_atomically(path, data, durable=durable)
        assert path.read_bytes() == data
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_killed_at_any_moment_it_leaves_whole_files(
    forked: Any, until: Any, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    for kill in range(10):
        written = tmp_path / f"written-{kill}"
        writer = forked(WRITER, path, "durable" if kill % 2 else "fast", kill, written)
        until(writer, written.exists)
        writer.send_signal(signal.SIGKILL)  # in the middle of one of the next, wherever that is
        assert writer.end().returncode == -signal.SIGKILL
        data = path.read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x", tmp_path / "none" / "x"):
        with pytest.raises(StoreError, match="x: cannot be written"):
            write_atomically(path, b"")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            write_atomically(tmp_path / "x", b"")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_when_it_fails_the_old_file_stays_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    expected = StoreError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
