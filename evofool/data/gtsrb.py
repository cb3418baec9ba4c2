"""GTSRB, German traffic signs at 32 x 32, as sheets or as torchvision's data set leaves it.

Its training pictures come in tracks, some thirty frames of one sign: neighbours are nearly equal,
so what is held out for validation is whole tracks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evofool.data.base import Dataset, Split
from evofool.data.sheet import check_pair, checked, read_sheet
from evofool.errors import DataError, ImageError
from evofool.files import is_file, is_folder, read_file, reason
from evofool.images import UInt8Images, picture_to_array, read_picture

SIDE = 32
N_CLASSES = 43
_FOLDER = "gtsrb32"
_TORCHVISION = Path("gtsrb")
_TRAINING = _TORCHVISION / "GTSRB" / "Training"
_TEST = _TORCHVISION / "GTSRB" / "Final_Test" / "Images"
_TRUTH = _TORCHVISION / "GT-final_test.csv"
_MAX_CSV = 1 << 26
_HELD_OUT = 5
"""Every fifth track of a class is validation; a class has seven at least."""


@dataclass(frozen=True)
class _Part:
    """Pictures with labels and, in the training part, tracks (unique within a class)."""

    images: UInt8Images
    labels: NDArray[np.int64]
    tracks: tuple[str, ...] | None = None


def missing(root: Path, split: Split | None = None) -> str:
    """What is not in the data folder `root` (for one split, or for all); empty if all is."""
    folder = _sheets(root)
    parts = ("train", "test") if split is None else (_part(split),)
    if all(_has_sheets(folder, part) or _has_pictures(root, part) for part in parts):
        return ""
    absent = [
        name
        for part in parts
        for name in (f"{part}.png", f"{part}.csv")
        if not is_file(folder / name)
    ]
    return (
        f"data set gtsrb: not found: put {', '.join(absent)} into {root / _FOLDER}, or"
        f" torchvision's {_TORCHVISION}/ into {root} (evofool train ... --download fetches it),"
        " or name another folder with --data DIR or $EVOFOOL_DATA"
    )


def load(split: Split, root: Path) -> Dataset:
    """One split from the data folder `root`; the sheets are preferred.

    ``train`` and ``validation`` share no track.

    Raises:
        DataError: missing, truncated, or not what it should be.
    """
    if absent := missing(root, split):
        raise DataError(absent)
    folder, name = _sheets(root), _part(split)
    part = _from_sheet(folder, name) if _has_sheets(folder, name) else _from_pictures(root, name)
    images, labels = part.images, part.labels
    if part.tracks is not None:
        kept = held_out(labels, part.tracks) == (split == "validation")
        images, labels = np.ascontiguousarray(images[kept]), labels[kept]
        if not len(labels):
            raise DataError(f"data set gtsrb: too few tracks in {root} for a split {split!r}")
    return Dataset("gtsrb", split, images, labels, LABELS)


def held_out(labels: NDArray[np.int64], tracks: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which pictures are for validation, (N,): every fifth track of each class, in order of name.

    Args:
        labels: (N,), the class of each picture.
        tracks: the name of each picture's track (one sign, photographed several times).
    """
    chosen: set[tuple[int, str]] = set()
    for label in np.unique(labels).tolist():
        own = sorted(
            {track for track, own_label in zip(tracks, labels, strict=True) if own_label == label}
        )
        chosen |= {(label, track) for track in own[_HELD_OUT - 1 :: _HELD_OUT]}
    pairs = zip(labels.tolist(), tracks, strict=True)
    return np.array([pair in chosen for pair in pairs], dtype=bool)


def _part(split: Split) -> str:
    return "test" if split == "test" else "train"


def _sheets(root: Path) -> Path:
    folder = root / _FOLDER
    inside = not is_folder(folder) and any(is_file(root / f"{part}.csv") for part in _PARTS)
    return root if inside else folder


_PARTS = ("train", "test")


def _has_sheets(folder: Path, part: str) -> bool:
    return all(is_file(folder / f"{part}.{suffix}") for suffix in ("png", "csv"))


def _has_pictures(root: Path, part: str) -> bool:
    if part == "train":
        return is_folder(root / _TRAINING)
    return is_folder(root / _TEST) and is_file(root / _TRUTH)


def _from_sheet(folder: Path, part: str) -> _Part:
    image_path, label_path = folder / f"{part}.png", folder / f"{part}.csv"
    images = read_sheet(image_path, SIDE)
    rows = list(_rows(label_path, ",", ("label", "track") if part == "train" else ("label",)))
    labels = _labels([row[0] for row in rows], label_path)
    check_pair(images, labels, N_CLASSES, image_path, label_path)
    return _Part(images, labels, tuple(row[1] for row in rows) if part == "train" else None)


def _from_pictures(root: Path, part: str) -> _Part:
    if part == "test":
        rows = list(_rows(root / _TRUTH, ";", ("ClassId", "Filename")))
        labels = _labels([row[0] for row in rows], root / _TRUTH)
        paths = [root / _TEST / Path(row[1]).name for row in rows]
        images = np.stack([_picture(path) for path in paths])
        check_pair(images, labels, N_CLASSES, root / _TEST, root / _TRUTH)
        return _Part(images, labels)
    paths = sorted((root / _TRAINING).glob("*/*.ppm"))
    if not paths:
        raise DataError(f"{root / _TRAINING}: holds no pictures; delete it and fetch it again")
    labels = _labels([path.parent.name for path in paths], root / _TRAINING)
    images = np.stack([_picture(path) for path in paths])
    check_pair(images, labels, N_CLASSES, root / _TRAINING, root / _TRAINING)
    return _Part(images, labels, tuple(path.name.partition("_")[0] for path in paths))


def _picture(path: Path) -> UInt8Images:
    """3 x 32 x 32: averaged over areas where it is larger, interpolated where it is smaller."""
    import cv2

    try:
        array = picture_to_array(read_picture(path), 3).transpose(1, 2, 0)
    except ImageError as error:
        raise DataError(f"{error}; delete it and fetch the data set again") from error
    larger = min(array.shape[:2]) >= SIDE
    mode = cv2.INTER_AREA if larger else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(array), (SIDE, SIDE), interpolation=mode)
    return np.ascontiguousarray(small.transpose(2, 0, 1))


def _rows(path: Path, delimiter: str, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    try:
        text = io.StringIO(read_file(path, _MAX_CSV).decode(), newline="")
        reader = csv.DictReader(text, delimiter=delimiter, skipinitialspace=True)
        for row in reader:
            cells = tuple(row.get(column) for column in columns)
            if any(cell is None for cell in cells):
                raise DataError(
                    f"{path}:{reader.line_num}: truncated, or without the columns"
                    f" {', '.join(columns)}; get it again"
                )
            yield tuple(str(cell) for cell in cells)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error


def _labels(texts: list[str], path: Path) -> NDArray[np.int64]:
    try:
        return checked([int(text) for text in texts], path)
    except ValueError as error:
        raise DataError(f"{path}: has a label that is not a number ({error})") from error


LABELS = (
    "speed limit 20",
    "speed limit 30",
    "speed limit 50",
    "speed limit 60",
    "speed limit 70",
    "speed limit 80",
    "end of speed limit 80",
    "speed limit 100",
    "speed limit 120",
    "no passing",
    "no passing for heavy vehicles",
    "right of way at the next crossing",
    "priority road",
    "yield",
    "stop",
    "no vehicles",
    "no heavy vehicles",
    "no entry",
    "general caution",
    "dangerous curve left",
    "dangerous curve right",
    "double curve",
    "bumpy road",
    "slippery road",
    "road narrows on the right",
    "road work",
    "traffic signals",
    "pedestrians",
    "children crossing",
    "bicycles crossing",
    "beware of ice and snow",
    "wild animals crossing",
    "end of all limits",
    "turn right ahead",
    "turn left ahead",
    "ahead only",
    "go straight or right",
    "go straight or left",
    "keep right",
    "keep left",
    "roundabout mandatory",
    "end of no passing",
    "end of no passing for heavy vehicles",
)
