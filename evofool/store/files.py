"""Files that are the old or the new one whenever the process is killed; bounded reading."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evofool.errors import DamagedError, StoreError
from evofool.files import read_file, reason

MAX_TEXT = 16 * 1024 * 1024
"""Largest manifest, config or summary that is read."""


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a temporary file beside `path` and rename it over `path`.

    Args:
        path: the file; its folder exists.
        data: all of its content.
        durable: also survive a power cut (fsync). Derived pictures do without: a thousand of them
            would cost a thousand waits for the disk, and they can be made again.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
    finally:  # an interrupt leaves nothing either
        with contextlib.suppress(OSError):  # what went wrong before is what is to be told
            temporary.unlink(missing_ok=True)
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def place_of(path: Path) -> tuple[int, int]:
    """Which file `path` is, by device and number.

    Raises:
        StoreError: it is not there (any more).
    """
    try:
        status = path.stat()
    except OSError as error:
        raise StoreError(f"{path}: cannot be reached ({reason(error)})") from error
    return status.st_dev, status.st_ino


def check_place(path: Path, place: tuple[int, int]) -> None:
    """Refuse to write beside or for a file that went away: with its mount, or removed.

    Whoever has it open could go on writing, and nobody would ever find what was written.

    Raises:
        StoreError: `path` is not the file that it was.
    """
    if place_of(path) != place:
        raise StoreError(f"{path}: is not the file that was opened")


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """A JSON object as it is written to disk."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # the bytes of a path that is not UTF-8


def read_text(path: Path) -> str:
    """A text file of at most `MAX_TEXT` bytes.

    Raises:
        StoreError: it is missing, no plain file, too large, or not UTF-8.
    """
    try:
        return read_file(path, MAX_TEXT).decode()
    except FileNotFoundError as error:
        raise StoreError(f"{path}: is missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read ({reason(error)})") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises ``StoreError`` as `read_text`, and for anything else than an object."""
    return json_object(read_text(path), path)


def json_object(text: str, path: Path) -> dict[str, Any]:
    """`text`, found in `path`, as a JSON object; raises ``StoreError`` for anything else."""
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path}: damaged JSON ({error})") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{path}: damaged JSON (not an object)")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
