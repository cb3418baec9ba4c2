"""Bad data sets are one DataError that names the file and what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evofool.data import inspect_dataset, load_dataset, mnist
from evofool.errors import DataError

IMAGES = "mnist/t10k-images-idx3-ubyte.gz"
LABELS = "mnist/t10k-labels-idx1-ubyte.gz"


@pytest.mark.parametrize("call", [load_dataset, inspect_dataset])
def test_unknown_name(call: Callable[[str], object]) -> None:
    with pytest.raises(DataError, match="nonsense: unknown; known: mnist, fashion-mnist"):
        call("nonsense")


def test_unknown_split(tiny: Path) -> None:
    with pytest.raises(DataError, match="no split 'validation'; known: train, test"):
        load_dataset("mnist", "validation", tiny)
    with pytest.raises(DataError, match="no split 'train'; known: test"):
        load_dataset("mnist-sample", "train")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("fashion-mnist", "test", tmp_path)
    for part in ("t10k-images-idx3-ubyte.gz", str(tmp_path / "fashion_mnist"), "$EVOFOOL_DATA"):
        assert part in str(caught.value)
    assert "train-images" not in str(caught.value)


def change(path: Path, edit: Callable[[bytes], bytes]) -> None:
    path.write_bytes(gzip.compress(edit(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        (IMAGES, lambda data: data[:-1], "truncated, holds 2351 of the 2352 bytes"),
        (IMAGES, lambda data: data + b"\0", "more than the 2352 bytes"),
        (IMAGES, lambda data: data[:9], "header is incomplete"),
        (IMAGES, lambda data: b"", "header is incomplete"),
        (IMAGES, lambda data: b"\0\0\x0d\x03" + data[4:], "magic number is 3331, not 2051"),
        (LABELS, lambda data: b"\0\0\x08\x03" + data[4:], "magic number is 2051, not 2049"),
        (IMAGES, lambda data: data[:4] + b"\xff" * 12 + data[16:], "more than 1073741824"),
        (IMAGES, lambda data: data[:8] + data[12:16] + b"\0\0\0\x0e" + data[16:], "more than"),
        (LABELS, lambda data: data[:-1] + b"\x0a", "label 10, beyond 9"),
        (LABELS, lambda data: data[:4] + b"\0\0\0\x02" + data[8:-1], "3 images .* but 2 labels"),
    ],
)
def test_damaged_content(
    tiny: Path, file: str, edit: Callable[[bytes], bytes], message: str
) -> None:
    change(tiny / file, edit)
    with pytest.raises(DataError, match=message):
        load_dataset("mnist", "test", tiny)


def test_other_image_sizes(tiny: Path, to_idx: Callable[..., bytes]) -> None:
    (tiny / IMAGES).write_bytes(gzip.compress(to_idx(np.zeros((3, 14, 56), np.uint8))))
    with pytest.raises(DataError, match="not 28 x 28"):
        load_dataset("mnist", "test", tiny)


def test_no_images_at_all(tiny: Path, to_idx: Callable[..., bytes]) -> None:
    (tiny / IMAGES).write_bytes(gzip.compress(to_idx(np.zeros((0, 28, 28), np.uint8))))
    (tiny / LABELS).write_bytes(gzip.compress(to_idx(np.zeros(0, np.uint8))))
    with pytest.raises(DataError, match="holds no labels"):
        load_dataset("mnist", "test", tiny)


@pytest.mark.parametrize("content", [b"", b"not gzip at all", b"\x1f\x8b\x08\x00"])
def test_not_gzip(tiny: Path, content: bytes) -> None:
    (tiny / IMAGES).write_bytes(content)
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: truncated"):
        load_dataset("mnist", "test", tiny)


def test_cut_download(tiny: Path) -> None:
    whole = (tiny / IMAGES).read_bytes()
    (tiny / IMAGES).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        load_dataset("mnist", "test", tiny)


def test_flipped_bit(tiny: Path) -> None:
    whole = bytearray((tiny / IMAGES).read_bytes())
    whole[len(whole) // 2] ^= 1
    (tiny / IMAGES).write_bytes(bytes(whole))
    with pytest.raises(DataError, match="t10k-images"):
        load_dataset("mnist", "test", tiny)


def test_another_file_of_the_same_name(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = mnist.IDX_SETS["fashion-mnist"]
    published = mnist.IdxSet("mnist", entry.label_names, entry.md5)
    monkeypatch.setitem(mnist.IDX_SETS, "fashion-mnist", published)
    with pytest.raises(DataError, match=r"is not the published file .MD5 .*, not bef4ecab"):
        load_dataset("fashion-mnist", "test", tiny)
