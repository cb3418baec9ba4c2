"""The sample that ships: the first ten test digits of each class of MNIST, on one sheet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from evofool.data.base import Dataset
from evofool.errors import DataError, ImageError
from evofool.files import read_file
from evofool.images import decode_png

_FOLDER = Path(__file__).parent / "samples"
_SIDE = 28
_MAX_BYTES = 1 << 24


def load_sample() -> Dataset:
    """100 digits, class after class.

    Raises:
        DataError: the installation is damaged.
    """
    try:
        sheet = decode_png(read_file(_FOLDER / "mnist-sample.png", _MAX_BYTES))
        content = json.loads(read_file(_FOLDER / "mnist-sample.json", _MAX_BYTES))
        labels = np.asarray(content["labels"], dtype=np.int64)
        names = tuple(content["label_names"])
    except (OSError, ValueError, KeyError, TypeError, ImageError) as error:
        raise DataError(f"data set mnist-sample: damaged installation ({error})") from error
    columns = sheet.shape[2] // _SIDE
    tiles = sheet.reshape(1, -1, _SIDE, columns, _SIDE).transpose(1, 3, 0, 2, 4)
    images = np.ascontiguousarray(tiles.reshape(-1, 1, _SIDE, _SIDE))
    if len(images) != len(labels):
        raise DataError("data set mnist-sample: damaged installation (labels and images differ)")
    return Dataset("mnist-sample", "test", images, labels, names)
