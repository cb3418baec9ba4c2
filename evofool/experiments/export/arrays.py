"""Pictures as arrays: one ``.npz`` that `numpy.load` reads without pickle."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.errors import DamagedError
from evofool.experiments.export.pictures import Pictures

_MISSING: Mapping[type, Any] = {int: -1, float: np.nan, bool: False, str: ""}
"""What takes the place of a value that there is none of."""
_STORED: Mapping[type, Any] = {int: np.int64, float: np.float64, bool: np.bool_, str: np.str_}


def npz_bytes(pictures: Pictures) -> bytes:
    """The content of the file: ``images`` (N x C x H x W, uint8), ``labels`` (N, int64),
    ``confidences`` (N, float64), ``classes`` (the name of every class), and an array of N values
    for each further column of facts.

    Raises:
        StoreError: the pictures differ in shape: the run is damaged.
    """
    shapes = {picture.pixels.shape for picture in pictures.rows}
    if len(shapes) > 1:
        raise DamagedError(f"{pictures.run.path}: damaged: its pictures differ in shape")
    columns = {name: _column(pictures, name) for name in pictures.columns}
    arrays = {
        "images": np.stack([picture.pixels for picture in pictures.rows]),
        "labels": columns[pictures.label],
        "confidences": columns["confidence"],
        "classes": np.array(pictures.classes, np.str_),
        **{name: values for name, values in columns.items() if name != "confidence"},
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _column(pictures: Pictures, name: str) -> NDArray[Any]:
    kind = pictures.columns[name]
    values = [picture.facts[name] for picture in pictures.rows]
    return np.array([_MISSING[kind] if value is None else value for value in values], _STORED[kind])
