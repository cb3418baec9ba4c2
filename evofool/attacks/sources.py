"""The images of an attack config: pictures of a folder, a data set, or noise, as a victim's inputs.

Folders and label files may come from anyone: names in a label file are only compared with those
that were found, and no file is ever named after them.
"""

from __future__ import annotations

import csv
import io
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import PIL.Image

from evofool.attacks.noise import NoiseKind, noise_image
from evofool.classifiers import Classifier, prepare
from evofool.config import AttackCampaign, Loaded, chosen_classes, find_class
from evofool.data import load_dataset
from evofool.errors import ConfigError, DataError
from evofool.images import UInt8Images, read_picture, to_hwc
from evofool.store.attack_schema import NONE
from evofool.text import printable

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
)
MAX_FILES = 1_000_000
MAX_LABEL_FILE = 64 * 1024 * 1024
_NAME = 300
"""Most characters of a picture's name that are kept."""


@dataclass(frozen=True)
class Sample:
    """One input of the victim, C x H x W uint8, its class or `NONE`, and where it comes from."""

    pixels: UInt8Images
    label: int
    source: str


class Source(ABC):
    """A sequence of images that are read when they are asked for.

    Attributes:
        notes: what a person should know of the choice.
        labelled: whether the images have classes of their own.
    """

    notes: tuple[str, ...] = ()
    labelled: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """One image.

        Raises:
            ImageError: the picture cannot be read.
        """


def open_source(loaded: Loaded[AttackCampaign], victim: Classifier) -> Source:
    """The images that a config names, after `offset`, at most `limit`.

    Raises:
        ConfigError: nothing is there, or labels and classes do not fit.
    """
    images = loaded.config.images
    if images.folder is not None:
        found: Source = _Folder(loaded, victim)
    elif images.dataset is not None:
        found = _DataSet(loaded, victim)
    else:
        found = _Noise(images.noise or "uniform", images.count or 20, loaded.config.seed, victim)
    cut = _Cut(found, images.offset, images.limit)
    if not len(cut):
        what = f"all {len(found)} images come before offset {images.offset}" if len(found) else (
            "there are no images" + (f": {found.notes[0]}" if found.notes else "")
        )  # fmt: skip
        raise loaded.error_at("images", what)
    return cut


class _Cut(Source):
    def __init__(self, inner: Source, offset: int, limit: int | None) -> None:
        self._inner, self._offset = inner, offset
        left = max(0, len(inner) - offset)
        self._length = left if limit is None else min(left, limit)
        self.notes, self.labelled = inner.notes, inner.labelled

    def __len__(self) -> int:
        return self._length

    def sample(self, index: int) -> Sample:
        return self._inner.sample(self._offset + index)


MAX_STARS = 3


class _Noise(Source):
    def __init__(self, kind: NoiseKind, count: int, seed: int, victim: Classifier) -> None:
        self._kind, self._count, self._seed = kind, count, seed
        self._shape = victim.input_shape

    def __len__(self) -> int:
        return self._count

    def sample(self, index: int) -> Sample:
        pixels = noise_image(self._kind, self._shape, self._seed, index)
        return Sample(pixels, NONE, f"{self._kind} noise:{index}")


class _DataSet(Source):
    def __init__(self, loaded: Loaded[AttackCampaign], victim: Classifier) -> None:
        images = loaded.config.images
        assert images.dataset is not None
        try:
            self._data = load_dataset(images.dataset, images.split or "test")
        except DataError as error:
            key = "split" if "no split" in str(error) else "dataset"
            raise loaded.error_at(("images", key), str(error)) from error
        names = self._data.label_names
        where = ("images", "classes")
        classes = chosen_classes(loaded, where, images.classes or "all", names)
        self._rows = np.flatnonzero(np.isin(self._data.labels, classes))
        self._victim = victim
        self._classes: list[int] | None = None
        if images.labels != "victim":
            try:
                self._classes = _matched(names, victim.labels)
            except LookupError as error:
                raise loaded.error_at(
                    ("images", "dataset"),
                    f"{images.dataset} has other classes than {victim.name} ({error});"
                    " write `labels: victim` to go by its own answers",
                ) from error
        self.labelled = self._classes is not None

    def __len__(self) -> int:
        return len(self._rows)

    def sample(self, index: int) -> Sample:
        row = int(self._rows[index])
        pixels = self._data.images[row]
        if pixels.shape != self._victim.input_shape:
            rows = to_hwc(pixels)
            picture = PIL.Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows)
            pixels = prepare(picture, self._victim)
        label = NONE if self._classes is None else self._classes[int(self._data.labels[row])]
        return Sample(pixels, label, f"{self._data.name}:{row}")


def _matched(names: tuple[str, ...], labels: tuple[str, ...]) -> list[int]:
    if names == labels:
        return list(range(len(names)))
    return [find_class(name, labels) for name in names]


class _Folder(Source):
    def __init__(self, loaded: Loaded[AttackCampaign], victim: Classifier) -> None:
        images = loaded.config.images
        assert images.folder is not None
        self._root, self._victim = Path(images.folder), victim
        from_file = images.labels not in (None, "victim") and not images.has_pattern
        deep = (images.has_pattern and "/" in (images.labels or "")) or from_file
        names = _pictures(self._root, deep=deep, error=loaded.error_at(("images", "folder"), ""))
        self._labels: Mapping[str, int] | None = None
        error = loaded.error_at(("images", "labels"), "")
        if images.has_pattern:
            self._labels = _by_pattern(images.labels or "", names, victim.labels, error)
        elif from_file:
            self._labels = _by_file(Path(images.labels or ""), victim.labels, error)
        if self._labels is not None:
            known = [name for name in names if name in self._labels]
            if len(known) < len(names):
                self.notes = (f"{len(names) - len(known)} pictures without a label are left out",)
            names = known
        self._names = names
        self.labelled = self._labels is not None

    def __len__(self) -> int:
        return len(self._names)

    def sample(self, index: int) -> Sample:
        name = self._names[index]
        pixels = prepare(read_picture(self._root / name), self._victim)
        label = NONE if self._labels is None else self._labels[name]
        return Sample(pixels, label, printable(name)[:_NAME])


def _pictures(root: Path, *, deep: bool, error: ConfigError) -> list[str]:
    """Names of pictures below `root`, in order, with slashes; links to folders are not followed."""
    if not root.is_dir():
        raise ConfigError(f"{error}there is no such folder: {root}")
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        if not deep:
            folders.clear()
        for file in files:
            path = Path(folder) / file
            if path.suffix.lower() in SUFFIXES and path.is_file():
                found.append(path.relative_to(root).as_posix())
        if len(found) > MAX_FILES:
            raise ConfigError(f"{error}{root} holds more than {MAX_FILES} pictures")
    if not found:
        raise ConfigError(f"{error}{root} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return sorted(found)


def _by_pattern(
    pattern: str, names: list[str], labels: tuple[str, ...], error: ConfigError
) -> dict[str, int]:
    parts = re.split(r"(\*|\{class\})", pattern)
    if parts.count("*") > MAX_STARS:  # each multiplies what a name can cost
        raise ConfigError(f"{error}a pattern of names may have {MAX_STARS} stars at most")
    wild = {"*": "[^/]*", "{class}": "(?P<found>[^/]+)"}
    matcher = re.compile("".join(wild.get(part, re.escape(part)) for part in parts))
    found = {}
    for name in names:
        match = matcher.fullmatch(str(PurePosixPath(name).with_suffix("")))
        if match:
            found[name] = _class(match["found"], labels, f"{error}{printable(name)[:_NAME]}")
    if not found:
        example = printable(names[0])[:_NAME]
        raise ConfigError(f"{error}no picture is called like {pattern} (the first is {example})")
    return found


def _by_file(path: Path, labels: tuple[str, ...], error: ConfigError) -> dict[str, int]:
    """A CSV with the columns ``file`` and ``label``; others are passed over."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LABEL_FILE + 1)
        if len(data) > MAX_LABEL_FILE:
            raise ValueError(f"is larger than {MAX_LABEL_FILE} bytes")
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        if not {"file", "label"} <= set(reader.fieldnames or ()):
            raise ValueError("has no columns `file` and `label`")
        found: dict[str, int] = {}
        for row in reader:
            where = f"{error}{path}:{reader.line_num}"
            name = PurePosixPath(row["file"] or "").as_posix()
            if name in found:
                raise ConfigError(f"{where}: {printable(name)[:_NAME]} stands there twice")
            found[name] = _class(row["label"] or "", labels, where)
    except (OSError, ValueError, csv.Error) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise ConfigError(f"{error}{path}: cannot be used as labels ({reason})") from failure
    return found


def _class(text: str, labels: tuple[str, ...], where: str) -> int:
    try:
        return _class_of(text.strip(), labels)
    except LookupError as error:
        raise ConfigError(f"{where}: {error}") from None


@cache
def _class_of(text: str, labels: tuple[str, ...]) -> int:
    plain = re.fullmatch(r"[0-9]{1,9}", text)
    if plain and text not in labels:
        return find_class(int(text), labels)
    return find_class(text[:_NAME], labels)


def read_all(source: Source, most: int) -> None:
    """Read the first `most` images and keep none, for a dry run.

    Raises:
        ImageError: a picture cannot be read; the message names it.
    """
    for index in range(min(most, len(source))):
        source.sample(index)
