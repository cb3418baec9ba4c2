"""From run folders to collections: one reader for each kind of run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from evofool.errors import FolderError, UsageError
from evofool.gallery.attacked import KIND, attacked
from evofool.gallery.campaigns import campaign
from evofool.gallery.exhibits import IN_PLACE, Collection, Moved
from evofool.store import Folder, RunFolder
from evofool.store.experiment import ExperimentFolder


class Reader(Protocol):
    """What reads one kind of run folder."""

    def __call__(self, run: Folder, key: str, *, write: bool, moved: Moved = ...) -> Collection:
        """The collection of an open run; `write` allows to bring its derived files up to date."""
        ...


READERS: Mapping[str, Reader] = {"evolve": campaign, KIND: attacked}
"""By the ``kind`` of the manifest."""
_PAGES: Mapping[object, str] = {
    "defend": "the evaluation of a defense",
    "retrain": "a retraining loop",
    "costs": "a comparison of cost functions",
}
"""Kinds of runs that make a page of their own."""


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
        UsageError: files of several runs are said to have moved.
        FolderError: one is no run folder, or of a kind that has no pictures to show.
        StoreError: one is damaged.
    """
    if len(paths) > 1 and moved != IN_PLACE:
        raise UsageError(
            "--classifier and --encoding say where the files of one run are: give one run folder"
        )
    found = []
    taken: set[str] = set()
    for path in paths:
        run = _opened(Path(path))
        keep(run)
        kind = run.manifest.get("kind")
        reader = READERS.get(str(kind))
        if reader is None and kind in _PAGES:
            raise FolderError(
                f"{path}: holds {_PAGES[kind]}, which has a page of its own,"
                f" {path}/report/index.html; the campaigns in it can be shown:"
                f" evofool gallery {path}/evolution/* --out DIR"
            )
        if reader is None:
            raise FolderError(
                f"{path}: holds a run of kind {kind!r}; a gallery can show {', '.join(READERS)}"
            )
        key = _free(slug(run.path.resolve().name), taken)
        taken.add(key)
        found.append(reader(run, key, write=write, moved=moved))
    return found


def _opened(path: Path) -> Folder:
    run = Folder.open(path)
    kind = run.manifest.get("kind")
    folder = {RunFolder.KIND: RunFolder, KIND: ExperimentFolder}.get(str(kind))
    if folder is None:
        return run
    run.close()
    return folder.open(path)


def slug(name: str) -> str:
    """`name` as a key: ``[a-z0-9-]``, at most 40 characters."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "run"


def _free(key: str, taken: set[str]) -> str:
    number, found = 1, key
    while found in taken:
        number += 1
        found = f"{key}-{number}"
    return found
