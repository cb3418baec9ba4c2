"""The IDX format of the MNIST family: gzip around a magic number, sizes, and bytes."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evofool.errors import DataError
from evofool.files import open_file, reason

_MAX_BYTES = 1 << 30
_UBYTE = 0x08


def read_idx(path: Path, dimensions: int, md5: str | None = None) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an ``.idx*-ubyte.gz`` file.

    Args:
        path: a gzip file.
        dimensions: 1 for labels, 3 for images; the magic number must agree.
        md5: published checksum of the file, if there is one.

    Returns:
        (N,) labels, or N x H x W images.

    Raises:
        DataError: missing, another file than the published one, no gzip, another magic number,
            absurd sizes, too short or too long.
    """
    try:
        with open_file(path) as packed, gzip.GzipFile(fileobj=packed) as file:
            if md5 is not None:
                _check_md5(packed, path, md5)
            header = file.read(4 + 4 * dimensions)
            shape = _shape(header, dimensions, path)
            wanted = math.prod(shape)
            if wanted > _MAX_BYTES:
                raise DataError(f"{path}: declares {wanted} bytes, more than {_MAX_BYTES}")
            content = file.read(wanted)
            rest = file.read(1)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: truncated or not a gzip file ({reason(error)}); get it again"
        ) from error
    if len(content) != wanted:
        raise DataError(
            f"{path}: truncated, holds {len(content)} of the {wanted} bytes it declares;"
            " get it again"
        )
    if rest:
        raise DataError(f"{path}: holds more than the {wanted} bytes it declares")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _check_md5(file: BufferedReader, path: Path, md5: str) -> None:
    """Compare an open file with the published checksum, and go back to its start."""
    actual = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    file.seek(0)
    if actual != md5:
        raise DataError(
            f"{path}: is not the published file (MD5 {actual}, not {md5}): truncated, or of"
            " another data set; get it again"
        )


def _shape(header: bytes, dimensions: int, path: Path) -> tuple[int, ...]:
    if len(header) != 4 + 4 * dimensions:
        raise DataError(f"{path}: truncated, its header is incomplete; get it again")
    magic = int.from_bytes(header[:4], "big")
    wanted = (_UBYTE << 8) | dimensions
    if magic != wanted:
        raise DataError(
            f"{path}: its magic number is {magic}, not {wanted}"
            f" (unsigned bytes in {dimensions} dimensions)"
        )
    return tuple(int(part) for part in np.frombuffer(header[4:], dtype=">u4"))
