"""Data files that are damaged or no files: a DataError, never a wait and never anything else."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.data import inspect_dataset, load_dataset
from evofool.data.download import FETCHERS, fetch
from evofool.data.gtsrb import _rows
from evofool.data.idx import read_idx
from evofool.data.load import data_folder
from evofool.data.sheet import read_labels, read_sheet
from evofool.errors import DataError
from evofool.images import encode_png

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 2, 1024), dtype=np.uint8)
IDX = (0x0803).to_bytes(4, "big") + b"\0\0\0\x02" * 3 + bytes(8)
PUBLISHED = hashlib.md5(gzip.compress(IDX, mtime=0), usedforsecurity=False).hexdigest()
READERS: dict[str, tuple[Callable[[Path], Any], bytes]] = {
    "idx": (lambda path: read_idx(path, 3), gzip.compress(IDX, mtime=0)),
    "idx, published": (
        lambda path: read_idx(path, 3, PUBLISHED),
        gzip.compress(IDX, mtime=0),
    ),
    "sheet": (read_sheet, encode_png(PIXELS)),
    "labels": (read_labels, json.dumps([1, 2, 3]).encode()),
    "rows": (lambda path: list(_rows(path, ",", ("label", "track"))), b"label,track\n1,7\n2,8\n"),
}


@pytest.mark.parametrize(("read", "whole"), READERS.values(), ids=READERS)
def test_flipped_bits(read: Callable[[Path], Any], whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(whole)
    read(path)
    chance = random.Random(0)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            read(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017
    assert refused > 20


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(("read", "whole"), READERS.values(), ids=READERS)
def test_no_regular_file(read: Callable[[Path], Any], whole: bytes, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name, kind in (("pipe", "a named pipe"), ("endless", "a device"), (".", "a folder")):
        with pytest.raises(DataError, match=f"it is {kind}"):
            read(tmp_path / name)


def test_a_file_without_end(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("sheet", "labels", "rows"):
        with pytest.raises(DataError, match="larger than"):
            READERS[name][0](tmp_path / "file")


def test_sizes_whose_product_is_too_large_for_64_bits(tmp_path: Path) -> None:
    """2^22 x 2^21 x 2^21 is 0 in 64 bits."""
    sizes = b"".join(n.to_bytes(4, "big") for n in (1 << 22, 1 << 21, 1 << 21))
    (tmp_path / "file").write_bytes(gzip.compress(IDX[:4] + sizes))
    with pytest.raises(DataError, match=f"declares {1 << 64} bytes"):
        read_idx(tmp_path / "file", 3)


@pytest.mark.parametrize("folder", ["a\0b", "a\ud800b", "~nosuchuser", "x" * 300])
def test_a_data_folder_that_cannot_be_one(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for use in (data_folder, lambda path: load_dataset("mnist", "test", path)):
        with pytest.raises(DataError, match="the data folder cannot be used"):
            use(Path(folder))
    found = inspect_dataset("mnist", Path(folder))
    assert not found.present
    assert "the data folder cannot be used" in found.missing
    if "\0" not in folder and "\ud800" not in folder:
        monkeypatch.setenv("EVOFOOL_DATA", folder)
        with pytest.raises(DataError, match=r"cannot be used .*--data DIR"):
            load_dataset("mnist")


def test_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_path: str) -> str:
        return "~"  # as os.path.expanduser leaves it where the user has no entry

    monkeypatch.delenv("EVOFOOL_DATA", raising=False)
    monkeypatch.setattr(os.path, "expanduser", homeless)
    with pytest.raises(DataError, match=r"no such home folder.*\$EVOFOOL_DATA"):
        load_dataset("mnist")
    assert not inspect_dataset("mnist").present
    assert len(load_dataset("mnist-sample")) == 100


@pytest.mark.parametrize("error", [EOFError(), ValueError("a proxy"), KeyError("x"), OSError(28)])
def test_whatever_a_download_raises(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_root: str) -> None:
        raise error

    monkeypatch.setitem(FETCHERS, "mnist", fail)
    with pytest.raises(DataError, match=r"could not be downloaded into .* \(.+\)"):
        fetch("mnist", tmp_path, "")
