"""Pictures in rows of one large PNG: row i holds the pixels of picture i, its own rows in order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evofool.errors import DataError, ImageError
from evofool.files import read_file, reason
from evofool.images import UInt8Images, decode_png

_MAX_JSON = 1 << 24
_MAX_SHEET = 1 << 29
"""Most bytes of a sheet; those of CIFAR-10 have 30 MB."""


def read_sheet(path: Path, side: int = 32) -> UInt8Images:
    """uint8 N x 3 x side x side from a PNG of N rows of side * side RGB pixels.

    Raises:
        DataError: missing, truncated, no PNG, grey, or rows of another length.
    """
    try:
        sheet = decode_png(read_file(path, _MAX_SHEET))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error
    except ImageError as error:
        raise DataError(f"{path}: truncated or damaged ({error}); get it again") from error
    channels, count, width = sheet.shape
    if channels != 3 or width != side * side:
        raise DataError(
            f"{path}: its rows are {width} pixels of {channels} channels, not {side * side} of"
            " 3, so it is not a sheet of this data set"
        )
    return np.ascontiguousarray(sheet.reshape(3, count, side, side).transpose(1, 0, 2, 3))


def read_labels(path: Path) -> NDArray[np.int64]:
    """The labels in a JSON list, (N,).

    Raises:
        DataError: missing, truncated, or not a list of whole numbers.
    """
    try:
        content = json.loads(read_file(path, _MAX_JSON))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: truncated or not JSON ({error}); get it again") from error
    if not isinstance(content, list) or not all(type(label) is int for label in content):
        raise DataError(f"{path}: is not a list of class indices")
    return checked(content, path)


def checked(labels: list[int], path: Path) -> NDArray[np.int64]:
    """`labels`, read from `path`, as an array (N,).

    Raises:
        DataError: none at all, or absurd ones.
    """
    if not labels:
        raise DataError(f"{path}: holds no labels")
    if min(labels) < 0 or max(labels) > 1_000_000:
        raise DataError(f"{path}: has the labels {min(labels)} to {max(labels)}")
    return np.asarray(labels, dtype=np.int64)


def check_pair(
    images: UInt8Images, labels: NDArray[np.int64], n_classes: int, where: Path, source: Path
) -> None:
    """Checks that pictures from `where` and their labels from `source` fit together.

    Args:
        images: N x C x H x W.
        labels: (N,).
        n_classes: how many classes there are.
        where: the file of the images.
        source: the file of the labels.

    Raises:
        DataError: not as many of both, or a label beyond the last class.
    """
    if len(images) != len(labels):
        raise DataError(
            f"{where}: {len(images)} images but {len(labels)} labels in {source.name}:"
            " truncated, or of another data set; get it again"
        )
    if int(labels.max()) >= n_classes:
        raise DataError(f"{source}: has a label {int(labels.max())}, beyond {n_classes - 1}")
