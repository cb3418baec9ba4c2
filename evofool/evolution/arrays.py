"""Named arrays as bytes for the run folder: npz without pickle."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.errors import StoreError


def pack(**arrays: NDArray[Any]) -> bytes:
    """`arrays` as uncompressed npz bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(state: Mapping[str, bytes], key: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays `names` of what `pack` wrote under `key`.

    Raises:
        StoreError: the entry or an array is missing or damaged.
    """
    if key not in state:
        raise StoreError(f"the run folder holds no {key} to go on with")
    try:
        with np.load(io.BytesIO(state[key]), allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"the stored {key} is damaged ({error})") from error
