"""Where a picture may be painted: a shape, a polygon or a picture, as booleans at any size.

A pixel belongs to a mask if its centre does, whatever the size: so a mask that was searched on at
32 x 32 is the same place of the picture when it is printed at 4096 x 4096, with smooth edges.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from evofool.errors import ImageError
from evofool.files import read_file, reason
from evofool.images import MAX_FILE, Size, UInt8Images, picture_to_array, read_picture

Booleans: TypeAlias = NDArray[np.bool_]

_AT_ONCE = 1 << 20
"""Pixels that are looked at together."""
_DEFAULT_INNER = 0.6


def _listed(value: Any) -> Any:
    return tuple(_listed(each) for each in value) if isinstance(value, list) else value


Share: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Length: TypeAlias = Annotated[float, Field(gt=0, le=2, allow_inf_nan=False)]
Point: TypeAlias = tuple[float, float]
ShapeName: TypeAlias = Literal["disc", "square", "triangle", "octagon", "ring", "rectangle"]


class Mask(BaseModel):
    """Where a picture may be painted; all else stays as it is, bit for bit.

    Give one of `shape`, `polygon` and `picture`. Places are shares of the width and the height
    from the upper left corner, lengths shares of the shorter side.

    Attributes:
        shape: the outline.
        at: of a shape: its middle, [x, y].
        size: of a shape: its diameter or side; of a rectangle [width, height].
        turn: of a shape: degrees, clockwise.
        inner: of a ring: the diameter of its hole, as a share of its own.
        polygon: three corners or more, [x, y] each; the even-odd rule says what is inside.
        picture: a file, light (128 or above) where it may be painted; of the victim's size or a
            whole multiple of it, which keeps its edges smooth in print.
        sha256: of that file, so that another one under its name is refused; filled in when it is
            first read.
        inverted: all but what the rest says.

    Raises:
        pydantic.ValidationError: a key is unknown, wrong, or belongs to another kind of mask.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shape: ShapeName | None = None
    at: Annotated[tuple[Share, Share], BeforeValidator(_listed)] = (0.5, 0.5)
    size: Annotated[Length | tuple[Length, Length], BeforeValidator(_listed)] = 0.5
    turn: Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)] = 0.0
    inner: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = _DEFAULT_INNER
    polygon: Annotated[
        Annotated[tuple[Point, ...], Field(min_length=3, max_length=1000)] | None,
        BeforeValidator(_listed),
    ] = None
    picture: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    inverted: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [key for key in ("shape", "polygon", "picture") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"a mask is one of shape, polygon and picture, not {found}")
        for key in self.model_fields_set & {"at", "size", "turn", "inner", "sha256"}:
            owner = "picture" if key == "sha256" else "shape"
            if given != [owner] and getattr(self, key) is not None:
                raise ValueError(f"{key} belongs to a {owner}, not to a {given[0]}; remove it")
        if isinstance(self.size, tuple) != (self.shape == "rectangle") and self.shape:
            raise ValueError(
                "size is [width, height] of a rectangle, one number of any other shape"
            )
        if "inner" in self.model_fields_set and self.shape != "ring":
            raise ValueError("inner is the hole of a ring; remove it")
        for x, y in self.polygon or ():
            if not (0 <= x <= 1 and 0 <= y <= 1):
                raise ValueError(
                    f"polygon: the corner [{x:g}, {y:g}] lies outside the picture; corners are"
                    " shares of its width and height, 0 to 1"
                )
        return self

    def identity(self) -> dict[str, Any]:
        """What decides the mask, as JSON values: of a picture its sha256 and not its path."""
        said = self.model_dump(mode="json", exclude_defaults=True)
        if self.picture is not None:
            said |= {"picture": None, "sha256": self.sha256 or digest_of(self.picture)}
        return said

    def pinned(self) -> Mask:
        """The same with the sha256 of its picture.

        Raises:
            ValueError: the picture cannot be read, or is another one than `sha256` says.
        """
        if self.picture is None:
            return self
        return self.model_copy(update={"sha256": checked_digest(self.picture, self.sha256)})

    def check(self, size: Size) -> None:
        """Refuse a mask that is of no use on a picture of `size`.

        Raises:
            ValueError: it holds no pixel or all, or its picture is unreadable or of another size.
        """
        height, width = size
        if self.picture is not None:
            has = _picture(self.picture, self.sha256).shape
            if has[0] % height or has[1] % width or has[0] // height != has[1] // width:
                raise ValueError(
                    f"picture {self.picture} is {has[1]} x {has[0]}, but the victim takes"
                    f" {width} x {height}; give it that size, or a whole multiple of it"
                )
        inside = self.raster(size)
        if not inside.any():
            raise ValueError(
                f"holds no pixel of {width} x {height}, so nothing could be painted; make it larger"
            )
        if inside.all():
            raise ValueError(
                f"holds every pixel of {width} x {height}: leave it out, or make it smaller"
            )

    def raster(self, size: Size) -> Booleans:
        """The mask on a picture of `size`: height x width, read-only.

        Raises:
            ValueError: its picture cannot be read, or is another one than `sha256` says.
        """
        return _raster(self, size)

    def _rows(self, size: Size, first: int, last: int) -> Booleans:
        """Rows `first` to `last` of a shape or polygon."""
        height, width = size
        y, x = np.arange(first, last)[:, None] + 0.5, np.arange(width)[None, :] + 0.5
        if self.polygon is not None:
            return _in_polygon(x / width, y / height, self.polygon)
        unit = min(height, width)
        u, v = (x - self.at[0] * width) / unit, (y - self.at[1] * height) / unit
        if self.turn:
            turn = math.radians(self.turn)
            u, v = u * math.cos(turn) + v * math.sin(turn), v * math.cos(turn) - u * math.sin(turn)
        return _in_shape(self, u, v)


def _in_shape(mask: Mask, u: NDArray[np.float64], v: NDArray[np.float64]) -> Booleans:
    """Whether points around the middle of a shape lie in it."""
    wide, high = mask.size if isinstance(mask.size, tuple) else (mask.size, mask.size)
    a, b = wide / 2, high / 2
    inside: Booleans
    match mask.shape:
        case "disc":
            inside = u**2 + v**2 <= a**2
        case "ring":
            far = u**2 + v**2
            inside = (far <= a**2) & (far >= (mask.inner * a) ** 2)
        case "triangle":  # a point above, the base as long as the shape is high
            inside = (np.abs(u) <= (v + a) / 2) & (v <= a)
        case "octagon":
            corner = np.abs(u) + np.abs(v) <= a * math.sqrt(2)
            inside = (np.abs(u) <= a) & (np.abs(v) <= a) & corner
        case _:
            inside = (np.abs(u) <= a) & (np.abs(v) <= b)
    return inside


def _in_polygon(
    x: NDArray[np.float64], y: NDArray[np.float64], corners: tuple[Point, ...]
) -> Booleans:
    """Whether a ray to the right crosses an odd number of edges."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.bool_)
    for (x0, y0), (x1, y1) in _edges(corners):
        if y0 == y1:
            continue
        rows = np.flatnonzero((y[:, 0] >= min(y0, y1)) & (y[:, 0] < max(y0, y1)))
        inside[rows] ^= x < x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0)
    return inside


def _edges(corners: tuple[Point, ...]) -> Iterator[tuple[Point, Point]]:
    return zip(corners, (*corners[1:], corners[0]), strict=True)


@lru_cache(maxsize=16)
def _raster(mask: Mask, size: Size) -> Booleans:
    height, width = size
    if mask.picture is not None:
        light = _picture(mask.picture, mask.sha256)
        rows, columns = (
            (2 * np.arange(n) + 1) * has // (2 * n)
            for n, has in zip(size, light.shape, strict=True)
        )
        inside: Booleans = light[rows[:, None], columns]
    else:
        step = max(1, _AT_ONCE // width)
        parts = [mask._rows(size, i, min(i + step, height)) for i in range(0, height, step)]
        inside = np.concatenate(parts)
    inside = ~inside if mask.inverted else inside
    inside.flags.writeable = False
    return inside


@lru_cache(maxsize=4)
def _picture(path: str, sha256: str | None) -> Booleans:
    light: Booleans = decoded(path, sha256, 1)[0] >= 128
    return light


def digest_of(path: str) -> str:
    """The sha256 of a picture's file, in hexadecimal.

    Raises:
        ValueError: it cannot be read.
    """
    return hashlib.sha256(_content(path)).hexdigest()


def checked_digest(path: str, sha256: str | None) -> str:
    """`digest_of`, which must be `sha256` where that is given.

    Raises:
        ValueError: the file cannot be read, or is another one.
    """
    now = digest_of(path)
    if sha256 not in (None, now):
        raise ValueError(
            f"picture {path} does not have the sha256 that is given; restore the original"
            " picture, or remove sha256 to start a new run"
        )
    return now


def decoded(path: str, sha256: str | None, channels: int) -> UInt8Images:
    """The pixels of a picture's file, channels x H x W.

    Raises:
        ValueError: it cannot be read, is no picture, or is another one than `sha256` says.
    """
    if sha256 is not None:
        checked_digest(path, sha256)
    try:
        return picture_to_array(read_picture(Path(path)), channels)
    except ImageError as error:
        raise ValueError(f"picture {error}") from error


def _content(path: str) -> bytes:
    try:
        return read_file(Path(path), MAX_FILE)
    except OSError as error:
        raise ValueError(f"picture {path}: cannot be read ({reason(error)})") from error


def in_words(said: Mapping[str, Any]) -> str:
    """What `Mask.identity` says, for people: ``disc of 0.4 at 0.7, 0.3``."""
    if said.get("polygon"):
        words = f"polygon of {len(said['polygon'])} corners"
    elif said.get("shape"):
        size, at = said.get("size", 0.5), said.get("at", (0.5, 0.5))
        shown = " x ".join(f"{each:g}" for each in size) if isinstance(size, list) else f"{size:g}"
        words = f"{said['shape']} of {shown} at {at[0]:g}, {at[1]:g}"
        words += f", turned {said['turn']:g}" if said.get("turn") else ""
    else:
        words = f"picture {str(said.get('sha256'))[:8]}"
    return f"all but {words}" if said.get("inverted") else words


def bounds(inside: Booleans) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around `inside` (height x width), or empty ones."""
    slices = []
    for axis in (1, 0):
        at = np.flatnonzero(inside.any(axis=axis))
        slices.append(slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0))
    return slices[0], slices[1]
