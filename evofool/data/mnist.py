"""MNIST and Fashion-MNIST, from the four files that both are published as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from evofool.data.base import Dataset, Split
from evofool.data.idx import read_idx
from evofool.errors import DataError
from evofool.files import is_file, is_folder

_FILES: Mapping[Split, tuple[str, str]] = MappingProxyType(
    {
        "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    }
)


@dataclass(frozen=True)
class IdxSet:
    """One member of the family.

    Attributes:
        folder: name of its folder in the data folder.
        torchvision: the folder where torchvision's loader leaves the same files.
        label_names: one per class.
        md5: published checksum of each file (the values torchvision lists).
    """

    folder: str
    label_names: tuple[str, ...]
    md5: Mapping[str, str]
    torchvision: str = ""


IDX_SETS: dict[str, IdxSet] = {
    "mnist": IdxSet(
        "mnist",
        tuple(str(digit) for digit in range(10)),
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        "MNIST/raw",
    ),
    "fashion-mnist": IdxSet(
        "fashion_mnist",
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        "FashionMNIST/raw",
    ),
}


def set_folder(name: str, root: Path) -> Path:
    """Where a set's files are in the data folder `root`: its own, torchvision's, or `root`."""
    entry = IDX_SETS[name]
    folder = root / entry.folder
    files = [file for split in _FILES.values() for file in split]
    others = [root / entry.torchvision, root] if entry.torchvision else [root]
    if not is_folder(folder):
        for other in others:
            if any(is_file(other / file) for file in files):
                return other
    return folder


def missing_files(name: str, root: Path, split: Split | None = None) -> list[str]:
    """Names of the files that are not in the data folder `root` (of one split, or of both)."""
    folder = set_folder(name, root)
    wanted = [file for key, files in _FILES.items() if split in (None, key) for file in files]
    return [file for file in wanted if not is_file(folder / file)]


def load_idx_set(name: str, split: Split, root: Path) -> Dataset:
    """One split of a member of `IDX_SETS` from the data folder `root`.

    Raises:
        DataError: a file is missing, is not the published one, or does not fit the other.
    """
    entry = IDX_SETS[name]
    folder = set_folder(name, root)
    absent = missing_files(name, root, split)
    if absent:
        raise DataError(describe_missing(name, root, absent))
    image_path, label_path = (folder / file for file in _FILES[split])
    images = read_idx(image_path, 3, entry.md5.get(image_path.name))
    labels = read_idx(label_path, 1, entry.md5.get(label_path.name))
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: {len(images)} images in {image_path.name} but {len(labels)} labels in"
            f" {label_path.name}"
        )
    if images.shape[1:] != (28, 28):
        raise DataError(f"{image_path}: its images are {images.shape[1:]}, not 28 x 28")
    if labels.size == 0:
        raise DataError(f"{label_path}: holds no labels")
    if int(labels.max()) >= len(entry.label_names):
        raise DataError(
            f"{label_path}: has a label {int(labels.max())}, beyond {len(entry.label_names) - 1}"
        )
    return Dataset(name, split, images[:, None], labels.astype(np.int64), entry.label_names)


def describe_missing(name: str, root: Path, absent: list[str]) -> str:
    """What is not there and where it should be put."""
    return (
        f"data set {name}: not found: put {', '.join(absent)} into {root / IDX_SETS[name].folder},"
        " or name another folder with --data DIR or $EVOFOOL_DATA"
        f" (it holds the files, or {IDX_SETS[name].folder}/ with them);"
        " evofool train ... --download fetches them"
    )
