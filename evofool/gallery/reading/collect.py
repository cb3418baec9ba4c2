"""From run folders to collections: each kind of run has its reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from evofool import kinds
from evofool.errors import FolderError, UsageError
from evofool.gallery.reading.exhibits import IN_PLACE, Collection, Moved
from evofool.kinds import Kind
from evofool.store import Folder
from evofool.store.manifest import kind_in


class Reader(Protocol):
    """What reads one kind of run folder."""

    def __call__(self, run: Folder, key: str, *, write: bool, moved: Moved = ...) -> Collection:
        """The collection of an open run; `write` allows to bring its derived files up to date."""
        ...


def collect(
    paths: Sequence[Path | str],
    keep: Callable[[Folder], object],
    *,
    write: bool,
    moved: Moved = IN_PLACE,
) -> list[Collection]:
    """The collections of run folders, in order.

    Args:
        paths: of the run folders.
        keep: given each folder that was opened, to close it once the collections are done with.
        write: as in `Reader`.
        moved: where files of a single run are now.

    Raises:
        UsageError: files are given as moved for several runs.
        FolderError: one is no run folder, or of a kind that has no pictures to show.
        StoreError: one is damaged.
    """
    if len(paths) > 1 and moved != IN_PLACE:
        raise UsageError(
            "--classifier and --encoding give the new paths of one run's files: give one run folder"
        )
    collections = []
    taken: set[str] = set()
    for path in paths:
        run, kind = _opened(Path(path))
        keep(run)
        key = _free(slug(run.path.resolve().name), taken)
        taken.add(key)
        reader: Reader = kind.part("reader")
        collections.append(reader(run, key, write=write, moved=moved))
    return collections


def _opened(path: Path) -> tuple[Folder, Kind]:
    """A run folder as the class of its kind, which has pictures to show.

    Raises:
        FolderError: it has not.
    """
    with Folder.open(path) as run:
        kind = kind_in(run.manifest, path)
    if not kind.reader and kind.page:
        raise FolderError(
            f"{path}: holds {kind.about}, which has its own page, {path / kind.page}; the"
            f" campaigns in it can be shown: evofool gallery {path / 'evolution'}/* --out DIR"
        )
    if not kind.reader:
        readable = ", ".join(each.name for each in kinds.every() if each.reader)
        raise FolderError(
            f"{path}: holds a run of kind {kind.name!r}; a gallery can show {readable}"
        )
    folder: type[Folder] = kind.part("folder")
    return folder.open(path), kind


def slug(name: str) -> str:
    """`name` as a key: ``[a-z0-9-]``, at most 40 characters."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "run"


def _free(key: str, taken: set[str]) -> str:
    number, free = 1, key
    while free in taken:
        number += 1
        free = f"{key}-{number}"
    return free
