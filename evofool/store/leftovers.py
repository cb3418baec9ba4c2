"""What a process that was killed while it made a run folder has left there."""

from __future__ import annotations

import re
from pathlib import Path

from evofool.errors import FolderError, StoreError
from evofool.store.manifest import MANIFEST

_LEFTOVER = re.compile(
    r"run\.sqlite(-wal|-shm|-journal)?|config\.yaml|\.(config\.yaml|manifest\.json)\.\w+\.tmp"
)


def leftovers(path: Path) -> list[Path]:
    """What a process that was killed while making a run has left: all there is but a manifest.

    Raises:
        StoreError: the folder holds a run, or files that are not evofool's.
    """
    try:
        entries = [entry for entry in path.iterdir() if entry.name != ".lock"]
    except OSError as error:
        raise FolderError(f"{path}: cannot be used as a run folder ({error.strerror})") from error
    names = {entry.name for entry in entries}
    if MANIFEST in names:
        raise FolderError(
            f"{path}: already holds a run; continue it with `evofool resume {path}`, or give"
            " another --out"
        )
    if not all(_LEFTOVER.fullmatch(name) for name in names):
        raise FolderError(f"{path}: is not empty; give another --out")
    return entries


def remove(paths: list[Path]) -> None:
    """Remove them; raises `StoreError` where one stays."""
    for path in paths:
        try:
            path.unlink()
        except OSError as error:
            raise StoreError(f"{path}: cannot be removed ({error.strerror})") from error
