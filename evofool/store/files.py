"""Files that are either the old one or the new one, whenever the process is killed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from evofool.errors import StoreError


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
