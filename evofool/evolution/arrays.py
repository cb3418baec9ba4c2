"""Named arrays as bytes for the run folder: npz without pickle."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.encodings import Encoding
from evofool.errors import DamagedError, StoreError
from evofool.files import reason
from evofool.store import IndividualId


def pack(**arrays: NDArray[Any]) -> bytes:
    """`arrays`, of any shape and data type, as uncompressed npz bytes.

    None of them may hold objects, which would be pickled.
    """
    buffer = io.BytesIO()
    assert not any(array.dtype.hasobject for array in arrays.values())
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
    return buffer.getvalue()


def unpack(state: Mapping[str, bytes], key: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays `names` of what `pack` wrote under `key`, of any shape and data type.

    Raises:
        StoreError: the entry or an array is missing or damaged.
    """
    if key not in state:
        raise StoreError(f"the run folder holds no {key}, which a resume needs")
    try:
        with zipfile.ZipFile(io.BytesIO(state[key])) as archive:
            return {name: _array(archive, f"{name}.npy") for name in names}
    except Exception as error:  # of a damaged archive: a dozen types, NotImplementedError too
        raise DamagedError(f"the stored {key} is damaged ({reason(error)})") from error


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array, which takes no more memory than the archive, whatever its header claims."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    data = archive.read(entry)
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is of another version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    begin, count = stream.tell(), math.prod(shape)
    if dtype.hasobject or count * dtype.itemsize != len(data) - begin:
        raise ValueError(f"{name} does not hold what its header declares")
    array = np.frombuffer(data, dtype, count, begin).reshape(shape, order="F" if fortran else "C")
    return array.copy(order="K")  # as it lay: the last bits of a product depend on it


def pack_genomes(genomes: Mapping[IndividualId, Any], encoding: Encoding[Any]) -> bytes:
    """Genomes by individual, as their canonical dumps one after another."""
    dumps = [encoding.dump(genome) for genome in genomes.values()]
    return pack(
        ids=np.array(list(genomes), dtype=np.int64).reshape(-1, 2),
        lengths=np.array([len(dump) for dump in dumps], dtype=np.int64),
        dumps=np.frombuffer(b"".join(dumps), dtype=np.uint8),
    )


def unpack_genomes(
    state: Mapping[str, bytes], key: str, encoding: Encoding[Any]
) -> dict[IndividualId, Any]:
    """The inverse of `pack_genomes`, in the same order.

    Raises:
        StoreError: the entry is missing or damaged, or a genome does not load.
    """
    arrays = unpack(state, key, ("ids", "lengths", "dumps"))
    dumps = arrays["dumps"].tobytes()
    genomes: dict[IndividualId, Any] = {}
    at = 0
    try:
        for id, length in zip(arrays["ids"].tolist(), arrays["lengths"].tolist(), strict=True):
            if not 0 <= length <= len(dumps) - at:
                raise ValueError("a genome is cut short")
            genomes[IndividualId(*id)] = encoding.load(dumps[at : at + length])
            at += length
    except (TypeError, ValueError) as error:
        raise DamagedError(f"the stored {key} is damaged ({error})") from error
    return genomes
