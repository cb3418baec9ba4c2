"""The images of an attack config: pictures of a folder, a data set, or noise, as a victim's inputs.

Folders and label files may come from anyone: names in a label file are only compared with those
that are there, and no file is ever named after them.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from evofool.attacks.query.noise import NoiseKind, noise_image
from evofool.attacks.result import NONE
from evofool.classifiers import Classifier, prepare
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.matching import match_classes
from evofool.config import AttackCampaign, Loaded, chosen_classes
from evofool.data import DataSets
from evofool.errors import ClassifierError, ConfigError, DataError, ImageError
from evofool.experiments.attack.picture_labels import assigned, by_file, by_pattern, counted, shown
from evofool.files import is_file, reason
from evofool.images import PICTURE_SUFFIXES, UInt8Images, read_picture, to_hwc

MAX_FILES = 1_000_000
_RESOURCE_FORK = "._"
"""What macOS puts before the name of a file to hold what other file systems cannot."""
_SHOWN = 3
"""Faults that a note tells."""
_AT_ONCE = 64


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

    @abstractmethod
    def content(self, index: int) -> list[object]:
        """What determines one image beside the victim that it is prepared for, as JSON values."""

    def digest(self) -> str:
        """Hex sha256 of the contents of all images, in order."""
        whole = hashlib.sha256()
        for index in range(len(self)):
            whole.update(json.dumps(self.content(index)).encode() + b"\n")
        return whole.hexdigest()


def open_source(
    loaded: Loaded[AttackCampaign], victim: Classifier, data: DataSets | None = None
) -> Source:
    """The images that a config names, after `offset`, at most `limit`.

    Args:
        loaded: the config.
        victim: whose inputs the images become.
        data: those that were read before, where the same images are opened for several victims.

    Raises:
        ConfigError: nothing is there, or labels and classes do not fit.
    """
    images = loaded.config.images
    if images.folder is not None:
        source: Source = _Folder(loaded, victim)
    elif images.dataset is not None:
        source = _DataSet(loaded, victim, data or DataSets())
    else:
        source = _Noise(images.noise or "uniform", images.count or 20, loaded.config.seed, victim)
    cut = _Cut(source, images.offset, images.limit)
    if not len(cut):
        what = f"all {len(source)} images come before offset {images.offset}" if len(source) else (
            "there are no images" + (f": {source.notes[0]}" if source.notes else "")
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

    def content(self, index: int) -> list[object]:
        return self._inner.content(self._offset + index)


class _Noise(Source):
    def __init__(self, kind: NoiseKind, count: int, seed: int, victim: Classifier) -> None:
        self._kind, self._count, self._seed = kind, count, seed
        self._shape = victim.input_shape

    def __len__(self) -> int:
        return self._count

    def sample(self, index: int) -> Sample:
        pixels = noise_image(self._kind, self._shape, self._seed, index)
        return Sample(pixels, NONE, f"{self._kind} noise:{index}")

    def content(self, index: int) -> list[object]:
        return [self._kind, self._seed, index]


class _DataSet(Source):
    def __init__(self, loaded: Loaded[AttackCampaign], victim: Classifier, data: DataSets) -> None:
        images = loaded.config.images
        assert images.dataset is not None
        try:
            self._data = data.load(images.dataset, images.split or "test")
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
                self._classes, note = match_classes(
                    names, victim.labels, by_index=images.labels == "index"
                )
            except LookupError as error:
                same = len(names) == victim.n_classes
                by_index = ", `labels: index` to match classes by index" if same else ""
                raise loaded.error_at(
                    ("images", "dataset"),
                    f"{images.dataset} has other classes than {victim.name} ({error}); write"
                    f" `labels: victim` to use the victim's own answers{by_index}",
                ) from error
            self.notes = (note,) if note else ()
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
        return Sample(pixels, self._label(row), f"{self._data.name}:{row}")

    def content(self, index: int) -> list[object]:
        row = int(self._rows[index])
        pixels = np.ascontiguousarray(self._data.images[row])
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        return [f"{self._data.name}:{row}", list(pixels.shape), digest, self._label(row)]

    def _label(self, row: int) -> int:
        return NONE if self._classes is None else self._classes[int(self._data.labels[row])]


class _Folder(Source):
    def __init__(self, loaded: Loaded[AttackCampaign], victim: Classifier) -> None:
        images = loaded.config.images
        assert images.folder is not None
        self._root, self._victim = Path(images.folder), victim
        from_file = images.labels not in (None, "victim") and not images.has_pattern
        deep = (images.has_pattern and "/" in (images.labels or "")) or from_file
        names, notes = _pictures(
            self._root, deep=deep, error=loaded.error_at(("images", "folder"), "")
        )
        self._labels: Mapping[str, int] | None = None
        error = loaded.error_at(("images", "labels"), "")
        if images.has_pattern:
            self._labels = by_pattern(images.labels or "", names, tuple(victim.labels), error)
            other = [name for name in names if name not in self._labels]
            if other:
                notes = (f"{counted(other, 'picture')} left out, without a label", *notes)
        elif from_file:
            file = Path(images.labels or "")
            rows = by_file(file, tuple(victim.labels), error)
            self._labels, more = assigned(names, rows, file)
            notes = (*more, *notes)
        self.notes = notes
        self._names = [name for name in names if self._labels is None or name in self._labels]
        self.labelled = self._labels is not None

    def __len__(self) -> int:
        return len(self._names)

    def sample(self, index: int) -> Sample:
        name = self._names[index]
        path = self._root / name
        try:
            pixels = prepare(read_picture(path), self._victim)
        except ImageError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise ImageError(f"{shown(name)}: {reason}") from error
        return Sample(pixels, self._label(name), shown(name))

    def content(self, index: int) -> list[object]:
        name = self._names[index]
        try:
            digest = sha256_file(self._root / name)
        except ClassifierError:
            digest = "unreadable"
        return [shown(name), digest, self._label(name)]

    def _label(self, name: str) -> int:
        return NONE if self._labels is None else self._labels[name]


def _pictures(root: Path, *, deep: bool, error: ConfigError) -> tuple[list[str], tuple[str, ...]]:
    """Names of pictures below `root`, in order, with slashes, and notes on what is passed over.

    Links to folders are not followed.
    """
    if not root.is_dir():
        raise ConfigError(f"{error}there is no such folder: {root}")
    paths: list[str] = []
    odd: list[str] = []
    closed: list[OSError] = []
    forks = 0
    for folder, folders, files in os.walk(root, onerror=closed.append):
        if not deep:
            folders.clear()
        for file in files:
            path = Path(folder) / file
            if path.suffix.lower() not in PICTURE_SUFFIXES:
                continue
            if file.startswith(_RESOURCE_FORK):
                forks += 1
            elif is_file(path):
                paths.append(path.relative_to(root).as_posix())
            else:
                odd.append(path.relative_to(root).as_posix())
        if len(paths) > MAX_FILES:
            raise ConfigError(f"{error}{root} holds more than {MAX_FILES} pictures")
    for fault in closed:
        if Path(str(fault.filename)) == root:
            raise ConfigError(f"{error}{root} cannot be read ({reason(fault)})")
    notes = []
    if forks:
        notes.append(f"{forks} of macOS's ._ files left out, since they hold no picture")
    if odd:
        notes.append(f"{counted(odd, 'name')} left out, not a regular file")
    if closed:
        names = [str(fault.filename) for fault in closed]
        notes.append(f"{counted(names, 'folder')} left out, cannot be read")
    if not paths:
        more = f"; {'; '.join(notes)}" if notes else ""
        raise ConfigError(
            f"{error}{root} holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))}){more}"
        )
    return sorted(paths), tuple(notes)


def read_samples(source: Source, rows: range) -> tuple[list[Sample], tuple[str, ...]]:
    """The images at `rows` that can be read, and a note on those that cannot, if there are any."""
    samples, faults = [], []
    for row in rows:
        try:
            samples.append(source.sample(row))
        except ImageError as error:
            faults.append(str(error))
    if not faults:
        return samples, ()
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    what = "1 picture is" if len(faults) == 1 else f"{len(faults)} pictures are"
    return samples, (f"{what} left out: {'; '.join(faults[:_SHOWN])}{more}",)


def read_all(source: Source, most: int) -> tuple[str, ...]:
    """Read the first `most` images and keep none, for a dry run; returns notes on them.

    Raises:
        ImageError: none can be read; the message says why.
    """
    samples, notes = 0, {}
    for start in range(0, min(most, len(source)), _AT_ONCE):
        readable, faults = read_samples(
            source, range(start, min(start + _AT_ONCE, most, len(source)))
        )
        samples += len(readable)
        notes.update(dict.fromkeys(faults))
    if not samples:
        raise ImageError(f"no picture can be used: {next(iter(notes))}")
    return tuple(notes)
