"""Tiny IDX files in the folders where the real ones would lie."""

from __future__ import annotations

import dataclasses
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.data import mnist


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """The IDX form of an array, before compression."""
    header = (0x0800 | array.ndim).to_bytes(4, "big")
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def to_idx() -> Callable[[NDArray[np.uint8]], bytes]:
    return idx_bytes


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with 7 training and 3 test images of MNIST's form, checksums off."""
    entry = mnist.IDX_SETS["mnist"]
    monkeypatch.setitem(mnist.IDX_SETS, "mnist", dataclasses.replace(entry, md5={}))
    rng = np.random.default_rng(0)
    folder = tmp_path / "mnist"
    folder.mkdir()
    for stem, count in (("train", 7), ("t10k", 3)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8)
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    return tmp_path


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data sets, for tests marked ``data``."""
    folder = os.environ.get("EVOFOOL_DATA")
    if not folder:
        pytest.skip("EVOFOOL_DATA is not set")
    return Path(folder)
