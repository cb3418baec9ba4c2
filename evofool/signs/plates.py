"""Flat signs: a picture and the shape that it is cut to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from evofool.errors import ImageError, UsageError
from evofool.images import FloatImages, UInt8Images, read_opacity, read_picture, to_float
from evofool.text import suggestion

Points: TypeAlias = NDArray[np.float64]
"""(N, 2) float64: x to the right and y down."""

LEAST_SIDE = 256
"""A sign of fewer pixels is enlarged by a whole factor, pixel by pixel, as print would show it."""
MOST_SIDE = 1024
"""A sign of more pixels is reduced: no frame shows as many."""
_FINE = 4


def _around(n: int, first: float) -> Points:
    """A regular polygon in the unit square, from the angle `first` in degrees."""
    angles = np.deg2rad(first + np.arange(n) * 360 / n)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _filling(points: Points) -> Points:
    """The same polygon, stretched until it fills the unit square."""
    low, high = points.min(0), points.max(0)
    filling: Points = (points - low) / (high - low)
    return filling


OUTLINES: Mapping[str, Points] = MappingProxyType(
    {
        "square": np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]),
        "disc": _filling(_around(120, 0)),
        "triangle": _filling(_around(3, -90)),
        "yield": _filling(_around(3, 90)),
        "octagon": _filling(_around(8, 22.5)),
    }
)
"""Outlines in the unit square; ``yield`` is a triangle that stands on its tip."""
SHAPES: tuple[str, ...] = tuple(OUTLINES)


@dataclass(frozen=True)
class Sign:
    """A flat sign.

    Attributes:
        name: for people.
        picture: float32 3 x H x W on [0, 1], multiplied by `opacity`: black where nothing is.
        opacity: float32 H x W on [0, 1], 0 where nothing is; at least one pixel is solid.
        seen_at: what makes the picture of an angle in degrees, of a sign that changes with it;
            float32 3 x H x W, multiplied by `opacity`. None: it is `picture` from everywhere.
    """

    name: str
    picture: FloatImages = field(repr=False)
    opacity: FloatImages = field(repr=False)
    seen_at: Callable[[float], FloatImages] | None = field(default=None, repr=False)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is solid, in the unit square."""
        height, width = self.opacity.shape
        solid = self.opacity >= 0.5
        columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
        return (
            columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
        )  # fmt: skip

    def seen(self, angle: float) -> FloatImages:
        """The picture as it is seen from `angle` degrees, float32 3 x H x W, by `opacity`."""
        return self.picture if self.seen_at is None else self.seen_at(angle)


def make_sign(
    picture: UInt8Images,
    shape: str = "square",
    name: str = "a sign",
    opacity: UInt8Images | None = None,
) -> Sign:
    """A sign of a picture, cut to a shape.

    A small picture is enlarged pixel by pixel, by the least whole factor that gives `LEAST_SIDE`
    pixels; one of more than `MOST_SIDE` is reduced, each pixel the mean of those it covers.

    Args:
        picture: C x H x W of 1 or 3 channels; grey becomes colour.
        shape: one of `SHAPES`.
        name: for people.
        opacity: H x W, uint8 from 0 (nothing is there) to 255; None: all is there.

    Raises:
        UsageError: no such shape, or nothing of the sign is left.
        ImageError: not a picture.
    """
    if shape not in OUTLINES:
        mend = suggestion(shape[:80], SHAPES) or f"; there are {', '.join(SHAPES)}"
        raise UsageError(f"no sign has the shape {shape[:80]!r}{mend}")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[0] not in (1, 3):
        raise ImageError(
            f"a sign needs a uint8 picture of 1 or 3 x H x W, not {picture.dtype} {picture.shape}"
        )
    rows = to_float(np.broadcast_to(picture, (3, *picture.shape[1:]))).transpose(1, 2, 0)
    rows = resized(np.ascontiguousarray(rows))
    solid = shape_opacity(shape, rows.shape[:2])
    if opacity is not None:
        if opacity.shape != picture.shape[1:]:
            raise ImageError(
                f"{name}: a mask of {opacity.shape} for a picture of {picture.shape[1:]}"
            )
        solid = solid * resized(to_float(opacity))
    if not (solid >= 0.5).any():
        raise UsageError(f"{name}: nothing in it is opaque, so there is no sign to see")
    image = np.ascontiguousarray((rows * solid[..., None]).transpose(2, 0, 1), np.float32)
    return Sign(name, image, solid.astype(np.float32))


def read_sign(path: Path, shape: str = "auto") -> Sign:
    """A sign of a picture from disk; what is transparent there is not part of it.

    Args:
        path: of the picture.
        shape: one of `SHAPES`, or ``auto``: what its transparency says, else a square.

    Raises:
        ImageError: the file is not a picture.
        UsageError: no such shape, or nothing of the sign is left.
    """
    pixels = np.asarray(read_picture(path).convert("RGB"), dtype=np.uint8)
    opacity = read_opacity(path)
    plain = pixels.astype(np.float32)
    if opacity is not None:  # what `read_picture` has put on black
        plain = np.clip(plain * 255 / np.maximum(opacity, 1)[..., None], 0, 255)
    image = np.rint(plain).astype(np.uint8).transpose(2, 0, 1)
    chosen = "square" if shape == "auto" else shape
    return make_sign(np.ascontiguousarray(image), chosen, path.name, opacity)


def shape_opacity(shape: str, size: tuple[int, int]) -> FloatImages:
    """How much of each pixel lies in a shape: float32 H x W on [0, 1], for `size` H, W."""
    height, width = size
    fine = np.zeros((height * _FINE, width * _FINE), np.uint8)
    corners = OUTLINES[shape] * (width * _FINE, height * _FINE) - 0.5
    cv2.fillPoly(fine, [np.rint(corners * 16).astype(np.int32)], 255, shift=4)
    share: FloatImages = fine.reshape(height, _FINE, width, _FINE).mean((1, 3), np.float32)
    return share / np.float32(255)


def resized(rows: FloatImages) -> FloatImages:
    """A picture H x W or H x W x 3 as large as a sign is kept, as `make_sign` says."""
    height, width = rows.shape[:2]
    least, most = min(height, width), max(height, width)
    if most > MOST_SIDE:
        size = tuple(max(1, round(side * MOST_SIDE / most)) for side in (width, height))
        return np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.float32)
    factor = min(math.ceil(LEAST_SIDE / least), max(1, MOST_SIDE // most))
    larger: FloatImages = rows.repeat(factor, 0).repeat(factor, 1)
    return larger
