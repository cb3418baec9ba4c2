"""What a data set is once it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.images import Shape, UInt8Images

Split: TypeAlias = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Dataset:
    """Labelled images, in the order of the files.

    Attributes:
        name: as in `names`.
        split: ``train``, ``validation`` or ``test``.
        images: uint8 N x C x H x W.
        labels: int64 (N,), indices into `label_names`.
        label_names: one per class.
    """

    name: str
    split: Split
    images: UInt8Images = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    label_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def spread(self, limit: int | None) -> Dataset:
        """At most `limit` pictures, evenly spread over the set in the order of its files."""
        if limit is None or limit >= len(self):
            return self
        return self.take(np.arange(limit) * len(self) // limit)

    def take(self, chosen: NDArray[np.int64]) -> Dataset:
        """The pictures whose indices are `chosen`, int64 (n,), in their order."""
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])

    @property
    def shape(self) -> Shape:
        """Channels, height and width of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width


@dataclass(frozen=True)
class DatasetInfo:
    """Whether a data set is here, for listings and dry runs.

    Attributes:
        name: as in `names`.
        splits: those it has.
        present: whether all its files are there (their content is checked when they are loaded).
        folder: where they are, or would be looked for.
        missing: what is not there and where to put it; empty if present.
    """

    name: str
    splits: tuple[Split, ...]
    present: bool
    folder: Path
    missing: str = ""
