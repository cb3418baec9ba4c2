"""What lies behind a mask: a colour, a picture, or a traffic sign that is drawn here.

The signs are drawn from shapes, so that none is anybody's picture and each has any size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from evofool.images import Shape, Size, UInt8Images, picture_to_array
from evofool.render.masks import checked_digest, decoded

SignName: TypeAlias = Literal[
    "stop", "yield", "no-entry", "priority-road", "speed-limit-30", "speed-limit-50", "blank-disc"
]
SIGNS: tuple[SignName, ...] = get_args(SignName)
Level: TypeAlias = Annotated[int, Field(ge=0, le=255, strict=True)]
Rgb: TypeAlias = tuple[int, int, int]

_RED, _WHITE, _BLACK, _YELLOW = (178, 26, 34), (238, 238, 232), (24, 24, 26), (240, 186, 30)
_SKY: Rgb = (142, 158, 168)
_FINEST = 2048
"""Side up to which signs are drawn larger than they are wanted, and averaged."""
_WINDOW = 1000
"""Units of a sign's drawing on each side."""


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Background(BaseModel):
    """One of `colour`, `sign` and `picture`.

    Attributes:
        colour: [red, green, blue], levels 0 to 255.
        sign: one of `SIGNS`, before a grey sky.
        picture: a file of any size. One of exactly the size that is wanted is taken as it is; any
            other is cut around its middle to those proportions, and averaged or interpolated.
        sha256: of that file, so that another one under its name is refused; filled in when it is
            first read.

    Raises:
        pydantic.ValidationError: a key is unknown or wrong, or not one is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    colour: Annotated[tuple[Level, Level, Level] | None, BeforeValidator(_listed)] = None
    sign: SignName | None = None
    picture: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [key for key in ("colour", "sign", "picture") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"a background is one of colour, sign and picture, not {found}")
        if self.sha256 is not None and self.picture is None:
            raise ValueError(f"sha256 belongs to a picture, not to a {given[0]}; remove it")
        return self

    def pinned(self) -> Background:
        """The same with the sha256 of its picture.

        Raises:
            ValueError: the picture cannot be read, or is another one than `sha256` says.
        """
        if self.picture is None:
            return self
        sha256 = checked_digest(self.picture, self.sha256)
        decoded(self.picture, sha256, 3)  # what is no picture is refused here
        return self.model_copy(update={"sha256": sha256})

    def draw(self, channels: int, size: Size) -> UInt8Images:
        """The background, channels x height x width, read-only.

        Raises:
            ValueError: its picture cannot be read, or is another one than `sha256` says.
        """
        return _drawn(self, (channels, *size))


@lru_cache(maxsize=4)
def _drawn(background: Background, shape: Shape) -> UInt8Images:
    channels, height, width = shape
    if background.picture is not None:
        pixels = fitted(decoded(background.picture, background.sha256, channels), (height, width))
    else:
        picture = PIL.Image.new("RGB", (width, height), background.colour or _SKY)
        if background.sign is not None:
            picture.paste(_sign(background.sign, min(height, width)), _middle(height, width))
        pixels = picture_to_array(picture, channels)
    pixels.flags.writeable = False
    return pixels


def _middle(height: int, width: int) -> tuple[int, int]:
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2


def fitted(picture: UInt8Images, size: Size) -> UInt8Images:
    """`picture`, C x H x W, cut around its middle to the proportions of `size` and resized.

    One of that size stays as it is. Areas are averaged where it gets smaller, and interpolated
    where it gets larger.
    """
    import cv2

    height, width = size
    if picture.shape[1:] == size:
        return picture
    _, has_height, has_width = picture.shape
    scale = min(has_height / height, has_width / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (has_height - rows) // 2, (has_width - columns) // 2
    cut = np.moveaxis(picture[:, top : top + rows, left : left + columns], 0, -1)
    mode = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(cut), (width, height), interpolation=mode)
    resized: UInt8Images = np.ascontiguousarray(
        np.moveaxis(small.reshape(height, width, -1), -1, 0), dtype=np.uint8
    )
    return resized


def _sign(name: SignName, side: int) -> PIL.Image.Image:
    """A sign of `side` pixels, with smooth edges."""
    times = max(1, min(8, _FINEST // side))
    large = PIL.Image.new("RGB", (side * times, side * times), _SKY)
    _DRAWINGS[name](_Pen(PIL.ImageDraw.Draw(large), side * times / _WINDOW))
    return large if times == 1 else large.resize((side, side), PIL.Image.Resampling.BOX)


class _Pen:
    """Draws in a window of 1000 x 1000 whose middle is (0, 0)."""

    def __init__(self, draw: PIL.ImageDraw.ImageDraw, unit: float) -> None:
        self.draw, self.unit = draw, unit

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (x + _WINDOW / 2) * self.unit, (y + _WINDOW / 2) * self.unit

    def disc(self, radius: float, fill: Rgb) -> None:
        self.draw.ellipse([self._at(-radius, -radius), self._at(radius, radius)], fill=fill)

    def box(self, width: float, height: float, fill: Rgb) -> None:
        corners = [self._at(-width / 2, -height / 2), self._at(width / 2, height / 2)]
        self.draw.rectangle(corners, fill=fill)

    def regular(self, corners: int, radius: float, first: float, fill: Rgb) -> None:
        """A regular polygon around (0, 0), its first corner at so many degrees."""
        turns = np.deg2rad(first + 360 / corners * np.arange(corners))
        points = zip(radius * np.cos(turns), radius * np.sin(turns), strict=True)
        self.draw.polygon([self._at(float(x), float(y)) for x, y in points], fill=fill)

    def text(self, what: str, height: float, fill: Rgb) -> None:
        font = PIL.ImageFont.load_default(size=height * self.unit)
        stroke = round(height * self.unit / 28)
        self.draw.text(
            self._at(0, 0), what, fill=fill, font=font, anchor="mm", stroke_width=stroke,
            stroke_fill=fill,
        )  # fmt: skip


def _stop(pen: _Pen) -> None:
    pen.regular(8, 470, 22.5, _WHITE)
    pen.regular(8, 440, 22.5, _RED)
    pen.text("STOP", 300, _WHITE)


def _yield(pen: _Pen) -> None:
    pen.regular(3, 495, 90, _RED)
    pen.regular(3, 300, 90, _WHITE)


def _no_entry(pen: _Pen) -> None:
    pen.disc(440, _RED)
    pen.box(640, 150, _WHITE)


def _priority_road(pen: _Pen) -> None:
    pen.regular(4, 480, 0, _WHITE)
    pen.regular(4, 440, 0, _BLACK)
    pen.regular(4, 425, 0, _WHITE)
    pen.regular(4, 330, 0, _YELLOW)


def _limit(what: str) -> Callable[[_Pen], None]:
    def draw(pen: _Pen) -> None:
        pen.disc(440, _RED)
        pen.disc(345, _WHITE)
        if what:
            pen.text(what, 430, _BLACK)

    return draw


_DRAWINGS: Mapping[SignName, Callable[[_Pen], None]] = {
    "stop": _stop,
    "yield": _yield,
    "no-entry": _no_entry,
    "priority-road": _priority_road,
    "speed-limit-30": _limit("30"),
    "speed-limit-50": _limit("50"),
    "blank-disc": _limit(""),
}
