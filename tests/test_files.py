"""Files and paths from outside: pipes, devices, endless files, and names no file system holds."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from evofool.files import (
    PathError,
    absolute_path,
    expanded,
    is_file,
    open_file,
    read_file,
    reason,
    short,
    sweep,
)

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
UNUSABLE = {
    "a NUL": ("a\0b", "NUL"),
    "a lone surrogate": ("a\ud800b", "surrogate"),
    "no such user": ("~nosuchuser/net.pt", "~nosuchuser: there is no such home folder"),
    "300 characters": ("x" * 300, "name too long"),
    "too many parts": ("x/" * 5000, "name too long"),
}


def test_a_regular_file_is_read_as_far_as_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "file", 5) == read_file(tmp_path / "link", 5) == b"12345"
    with open_file(tmp_path / "file") as file:
        assert file.read(2) == b"12"
        assert file.seek(0) == 0
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_file(tmp_path / "file", 4)


def test_a_file_that_takes_no_room_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="larger than 1000 bytes"):
        read_file(tmp_path / "file", 1000)


@needs_pipes
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(tmp_path / "socket"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "endless").symlink_to("/dev/zero")
    kinds = {
        "pipe": "a named pipe",
        "socket": "a socket",
        "folder": "a folder",
        "endless": "a device",
    }
    for name, kind in kinds.items():
        with pytest.raises(OSError, match=f"it is {kind}, not a regular file"):
            read_file(tmp_path / name, 10)
        assert not is_file(tmp_path / name)


@needs_pipes
def test_a_file_that_becomes_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"1")
    os.mkfifo(tmp_path / "pipe")
    really = os.open

    def swapped(_path: object, flags: int) -> int:
        return really(tmp_path / "pipe", flags)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(OSError, match="a named pipe"):
        open_file(tmp_path / "file")


@pytest.mark.parametrize(("text", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_path_that_cannot_be_one(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PathError, match=f"(?i){message}"):
        expanded(text)
    with pytest.raises(PathError, match=f"(?i){message}"):
        absolute_path(text, tmp_path)
    if not text.startswith("~"):  # which is a name like any other once it is not a text
        with pytest.raises(OSError, match=f"(?i){message}"):
            open_file(tmp_path / text)
    assert not is_file(tmp_path / text)


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(PathError, match="symbolic links"):
        absolute_path("one", tmp_path)
    assert not is_file(tmp_path / "one")


def test_a_path_is_where_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert absolute_path("~/net.pt", tmp_path) == tmp_path / "home" / "net.pt"
    assert absolute_path("sub/net.pt", tmp_path) == tmp_path / "sub" / "net.pt"
    assert absolute_path("/net.pt", tmp_path) == Path("/net.pt")
    # bytes that are not UTF-8 are a name like any other
    assert absolute_path(os.fsdecode(b"net\xff.pt"), tmp_path) == tmp_path / "net\udcff.pt"
    # a name that is not there is for whoever needs it to complain of
    assert absolute_path("a/b/c", tmp_path / "file") == tmp_path / "file" / "a" / "b" / "c"


def test_a_reason_is_one_line_and_never_empty() -> None:
    assert reason(OSError(2, "No such file", "/secret")) == "No such file"
    assert reason(ValueError("first\nsecond")) == "first"
    assert reason(AssertionError()) == "AssertionError"
    assert reason(ValueError("\n")) == "ValueError"
    assert len(short("x" * 10_000)) == 200


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    """Only files that nobody writes to any more, and none that a link leads to."""
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    (run / "images").mkdir(parents=True)
    elsewhere.mkdir()
    kept = [
        run / "images" / "0001.png",
        run / "images" / ".0001.png.abcdefgh.tmp.png",
        run / ".keep.tmp",
        run / "images" / ".0003.png.aaaaaaaa.tmp",  # written to just now
        elsewhere / ".0001.png.abcdefgh.tmp",
    ]
    gone = [run / ".summary.json.abcd_123.tmp", run / "images" / ".0002.png.zzzzzzzz.tmp"]
    for path in (*kept, *gone):
        path.write_bytes(b"x")
    (run / "linked").symlink_to(elsewhere)
    (run / ".link.abcdefgh.tmp").symlink_to(kept[0])
    (run / ".folder.abcdefgh.tmp").mkdir()
    for path in (*kept, *gone):
        os.utime(path, (1.0, 1.0))
    os.utime(kept[3], (time.time(), time.time()))
    sweep(run)
    assert [path.exists() for path in kept] == [True] * len(kept)
    assert [path.exists() for path in gone] == [False] * len(gone)
    assert (run / ".link.abcdefgh.tmp").is_symlink()
    sweep(tmp_path / "none")
