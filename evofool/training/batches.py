"""The order of a training's images, and how they are moved and mirrored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evofool.errors import UsageError
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.training.augmenting import AugmentConfig, draw_views, viewed


@dataclass(frozen=True)
class Batches:
    """Images and labels in the order of any epoch, which depends on (seed, epoch) only.

    Attributes:
        images: uint8 N x C x H x W, or float32 on [0, 1].
        labels: class indices (N,), or N rows of whatever the loss takes (N x classes of shares).
        batch: images a step; the last of an epoch may be shorter.
        seed: of order and augmentation.
        shift: see `augment`.
        mirror: see `augment`.
        augment: views of the images so moved, see `viewed`; None is the images themselves.
    """

    images: UInt8Images | FloatImages
    labels: NDArray[np.generic]
    batch: int
    seed: int
    shift: int = 0
    mirror: bool = False
    augment: AugmentConfig | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or len(self.images) == 0:
            raise UsageError(f"training: images must be N x C x H x W, not {self.images.shape}")
        if len(self.images) != len(self.labels):
            raise UsageError(
                f"training: {len(self.images)} images but {len(self.labels)} labels were given"
            )

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self.images) / self.batch)

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[tuple[FloatImages, NDArray[np.generic]]]:
        """The batches of one epoch (counted from 1), without the first `skip`.

        Yields:
            float32 images n x C x H x W on [0, 1], and their n rows of `labels`: (n,), or n x
            classes, of the same data type.
        """
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.images))
        for number, begin in enumerate(range(0, len(order), self.batch)):
            chosen = order[begin : begin + self.batch]
            moves = draw_moves(len(chosen), self.shift, self.mirror, generator)
            views = None if self.augment is None else draw_views(len(chosen), generator)
            if number < skip:  # drawn all the same: what comes next is what would have come
                continue
            shown = to_float(moved(self.images[chosen], moves))
            if self.augment is not None and views is not None:
                shown = viewed(shown, self.augment, views)
            yield shown, self.labels[chosen]


@dataclass(frozen=True)
class Moves:
    """Where the window of each of N images lies in its padded copy, and which are mirrored.

    Attributes:
        shift: pixels of padding on each side.
        corners: 2 x N, top and left of each window, 0 to 2 * shift; None if nothing is moved.
        flips: N x 1 x 1 x 1, 1 where the image is mirrored, else 0; None if none is.
    """

    shift: int
    corners: NDArray[np.int64] | None
    flips: NDArray[np.int64] | None


def draw_moves(count: int, shift: int, mirror: bool, generator: np.random.Generator) -> Moves:
    """The draws of `augment` for `count` images."""
    corners = generator.integers(0, 2 * shift + 1, size=(2, count)) if shift else None
    flips = generator.integers(0, 2, size=(count, 1, 1, 1)) if mirror else None
    return Moves(shift, corners, flips)


def moved(images: UInt8Images | FloatImages, moves: Moves) -> UInt8Images | FloatImages:
    """`images` moved and mirrored as drawn; shape and data type stay the same."""
    count, _, height, width = images.shape
    if moves.corners is not None:
        shift = moves.shift
        padded = np.pad(images, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
        top, left = moves.corners
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        images = windows[np.arange(count), :, top, left]
    if moves.flips is not None:
        images = np.where(moves.flips == 1, images[..., ::-1], images)
    result: UInt8Images | FloatImages = np.ascontiguousarray(images)  # type: ignore[assignment]
    return result


def augment(
    images: UInt8Images | FloatImages, shift: int, mirror: bool, generator: np.random.Generator
) -> UInt8Images | FloatImages:
    """Moves every image by up to `shift` pixels in each direction and mirrors half of the images.

    What moves in is black. Shape and data type stay the same.
    """
    return moved(images, draw_moves(len(images), shift, mirror, generator))
