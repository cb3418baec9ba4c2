"""The user's own pictures and arrays, read from folders and ``.npz`` files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib.format import read_array
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier
from evofool.classifiers.pictures import prepare
from evofool.errors import ClassifierError, ImageError
from evofool.files import read_file
from evofool.images import PICTURE_SUFFIXES, UInt8Images, read_picture

MOST_PICTURES = 100_000
"""Most pictures of a folder, since all of them are read at each load."""
MOST_BYTES = 1 << 30
"""Most bytes of a ``.npz`` file, and of each of its arrays."""


def picture_files(folder: Path) -> list[Path]:
    """The pictures right inside a folder, by name.

    Raises:
        OSError: it cannot be looked into.
    """
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in PICTURE_SUFFIXES and file.name[:2] != "._"
    )


def read_prepared(path: Path, classifier: Classifier, where: str) -> UInt8Images:
    """The picture in a file as an input of `classifier`, uint8 C x H x W.

    Args:
        path: of the file.
        classifier: see `evofool.classifiers.pictures.prepare`.
        where: the place in the config, for a message.

    Raises:
        ClassifierError: it is no picture, damaged, or too narrow.
    """
    try:
        return prepare(read_picture(path), classifier)
    except ImageError as error:
        raise ClassifierError(f"{where}: {error}") from error


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Those of some arrays that a ``.npz`` file holds, without pickle and in bounded memory.

    Args:
        path: of the file.
        keys: what the arrays are called.

    Returns:
        By key, of whatever shape and data type the file says: that is for the caller to check.

    Raises:
        Exception: of a dozen types, if the file is missing, too large or damaged.
        ValueError: an array of more than `MOST_BYTES`, or of Python objects.
    """
    found = {}
    with zipfile.ZipFile(io.BytesIO(read_file(path, MOST_BYTES))) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        for key in keys:
            entry = entries.get(f"{key}.npy")
            if entry is None:
                continue
            if entry.file_size > MOST_BYTES:
                raise ValueError(f"its array {key!r} is larger than {MOST_BYTES >> 20} MiB")
            found[key] = read_array(io.BytesIO(archive.read(entry)), allow_pickle=False)
    return found
