"""Where data sets are looked for, and the table of those that can be loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evofool.data import cifar10, gtsrb
from evofool.data.base import Dataset, DatasetInfo, Split
from evofool.data.download import fetch
from evofool.data.drawn import drawn_boards, drawn_logos
from evofool.data.mnist import IDX_SETS, describe_missing, load_idx_set, missing_files
from evofool.data.sample import load_sample
from evofool.errors import DataError
from evofool.files import PathError, expanded, reason
from evofool.text import suggestion

ENVIRONMENT = "EVOFOOL_DATA"


@dataclass(frozen=True)
class _Entry:
    splits: tuple[Split, ...]
    load: Callable[[Split, Path], Dataset]
    missing: Callable[[Path], str]
    ships: bool = False

    def root(self, folder: Path | None) -> Path:
        """Where it is looked for; what ships needs no data folder."""
        return Path(__file__).parent if self.ships else data_folder(folder)


def _idx_missing(name: str, root: Path) -> str:
    absent = missing_files(name, root)
    return describe_missing(name, root, absent) if absent else ""


def _idx_load(name: str, split: Split, root: Path) -> Dataset:
    return load_idx_set(name, split, root)


_ENTRIES: dict[str, _Entry] = {
    **{
        name: _Entry(("train", "test"), partial(_idx_load, name), partial(_idx_missing, name))
        for name in IDX_SETS
    },
    "cifar10": _Entry(("train", "test"), cifar10.load, cifar10.missing),
    "gtsrb": _Entry(("train", "validation", "test"), gtsrb.load, gtsrb.missing),
    "mnist-sample": _Entry(("test",), lambda _split, _root: load_sample(), lambda _root: "", True),
    "drawn-logos": _Entry(("test",), lambda _split, _root: drawn_logos(), lambda _root: "", True),
    "drawn-boards": _Entry(("test",), lambda _split, _root: drawn_boards(), lambda _root: "", True),
}


def names() -> tuple[str, ...]:
    """The names of all data sets that can be loaded, whether they are on this machine or not."""
    return tuple(_ENTRIES)


def data_folder(folder: Path | None = None) -> Path:
    """`folder` if given, else ``$EVOFOOL_DATA``, else ``~/.cache/evofool``.

    Raises:
        DataError: it can be no folder: no such user, no home, a NUL, a name that is too long...
    """
    variable = os.environ.get(ENVIRONMENT)
    try:
        if folder is not None:
            expanded(folder)  # as it is written, so that messages show it so
            return folder
        return expanded(variable or "~/.cache/evofool")
    except PathError as error:
        raise DataError(
            f"the data folder cannot be used ({reason(error)});"
            f" name another with --data DIR or ${ENVIRONMENT}"
        ) from error


def load_dataset(name: str, split: str = "test", folder: Path | None = None) -> Dataset:
    """A data set, read and checked.

    Args:
        name: one of `names`.
        split: ``train``, ``test``, or ``validation`` where the set has one.
        folder: the data folder (see `data_folder`).

    Raises:
        DataError: an unknown name or split, missing files (and where they belong), or damaged.
    """
    entry = _entry(name)
    for known in entry.splits:
        if split == known:
            return entry.load(known, entry.root(folder))
    mend = suggestion(split, entry.splits) or f"; known: {', '.join(entry.splits)}"
    raise DataError(f"data set {name}: no split {split!r}{mend}")


class DataSets:
    """Data sets of one command, each split read once however many of its parts name it."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], Dataset] = {}

    def load(self, name: str, split: str = "test") -> Dataset:
        """A data set from the data folder, read and checked the first time.

        Args:
            name: one of `names`.
            split: as in `load_dataset`.

        Raises:
            DataError: as `load_dataset`.
        """
        key = (name, split)
        if key not in self._read:
            self._read[key] = load_dataset(name, split)
        return self._read[key]


def inspect_dataset(name: str, folder: Path | None = None) -> DatasetInfo:
    """Whether a data set is here; nothing is read.

    Raises:
        DataError: an unknown name.
    """
    entry = _entry(name)
    try:
        root = entry.root(folder)
    except DataError as error:
        return DatasetInfo(name, entry.splits, False, folder or Path(), str(error))
    missing = entry.missing(root)
    return DatasetInfo(name, entry.splits, not missing, root, missing)


def download_dataset(name: str, folder: Path | None = None) -> None:
    """Fetches a data set that is not here through torchvision's loader; else does nothing.

    Raises:
        DataError: an unknown name, or it could not be fetched; the message explains what to do.
    """
    entry = _entry(name)
    root = entry.root(folder)
    missing = entry.missing(root)
    if missing:
        fetch(name, root, missing)


def _entry(name: str) -> _Entry:
    if name not in _ENTRIES:
        mend = suggestion(name, names()) or f"; known: {', '.join(names())}"
        raise DataError(f"data set {name}: unknown{mend}")
    return _ENTRIES[name]
