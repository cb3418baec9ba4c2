"""Boards that are no traffic signs: logos and blank custom boards, drawn by code.

They stand on a plain grey ground, as discs whose outline is that of ``sign: disc`` of the attack
``sign-embedding``. All are our own drawings; none shows a mark of anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from evofool.data.base import Dataset

SIDE = 32
_FINE = 16
"""Pictures are drawn so many times larger and averaged down."""
_WHOLE = SIDE * _FINE
_RADIUS = 0.46
Canvas: TypeAlias = NDArray[np.uint8]
"""uint8 height x width x 3, RGB, 0 to 255."""
Colour: TypeAlias = tuple[int, int, int]

_GREY: Colour = (128, 132, 136)
_WHITE: Colour = (245, 245, 240)
_BLACK: Colour = (25, 25, 28)
_RED: Colour = (196, 38, 46)
_BLUE: Colour = (28, 84, 168)
_GREEN: Colour = (34, 132, 78)
_YELLOW: Colour = (240, 192, 40)
_ORANGE: Colour = (232, 120, 32)
_VIOLET: Colour = (112, 60, 150)
_TEAL: Colour = (20, 140, 150)
_PINK: Colour = (226, 120, 164)
_BROWN: Colour = (116, 78, 48)


def drawn_logos() -> Dataset:
    """Twelve logos: letters and simple figures on coloured discs, one of a class each."""
    return _dataset("drawn-logos", _LOGOS)


def drawn_boards() -> Dataset:
    """Twelve custom boards: plain discs, some with a rim or in two halves, one of a class each."""
    return _dataset("drawn-boards", _BOARDS)


def _dataset(name: str, drawings: dict[str, Callable[[], Canvas]]) -> Dataset:
    images = np.stack([_small(draw()) for draw in drawings.values()])
    return Dataset(name, "test", images, np.arange(len(images), dtype=np.int64), tuple(drawings))


def _small(canvas: Canvas) -> NDArray[np.uint8]:
    """3 x 32 x 32, each pixel the mean of its area."""
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(2, 0, 1))


def _disc(colour: Colour, rim: Colour | None = None) -> Canvas:
    canvas = np.full((_WHOLE, _WHOLE, 3), _GREY, np.uint8)
    middle, radius = _WHOLE // 2, round(_RADIUS * _WHOLE)
    cv2.circle(canvas, (middle, middle), radius, rim or colour, -1)
    cv2.circle(canvas, (middle, middle), round(radius * 0.8), colour, -1)
    return canvas


def _halves(upper: Colour, lower: Colour, *, upright: bool = False) -> Canvas:
    canvas, other = _disc(upper), _disc(lower)
    half = _WHOLE // 2
    if upright:
        canvas[:, half:] = other[:, half:]
    else:
        canvas[half:] = other[half:]
    return canvas


def _letter(text: str, board: Colour, ink: Colour) -> Canvas:
    canvas = _disc(board)
    font, thick = cv2.FONT_HERSHEY_DUPLEX, 3 * _FINE
    (width, height), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = 0.5 * _WHOLE / max(width, height)
    (width, height), _ = cv2.getTextSize(text, font, scale, thick)
    at = ((_WHOLE - width) // 2, (_WHOLE + height) // 2)
    cv2.putText(canvas, text, at, font, scale, ink, thick, cv2.LINE_AA)
    return canvas


def _figure(board: Colour, ink: Colour, *polygons: list[tuple[float, float]]) -> Canvas:
    """A board with polygons in it, whose corners are given in sides from the upper left corner."""
    canvas = _disc(board)
    for corners in polygons:
        points = np.rint(np.array(corners) * _WHOLE).astype(np.int32)
        cv2.fillPoly(canvas, [points], ink, cv2.LINE_AA)
    return canvas


def _star(board: Colour, ink: Colour) -> Canvas:
    angles = np.pi * np.arange(10) / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 0.36, 0.15)
    corners = np.stack([0.5 + radii * np.cos(angles), 0.5 + radii * np.sin(angles)], 1)
    return _figure(board, ink, [(float(x), float(y)) for x, y in corners])


def _rings(board: Colour, ink: Colour) -> Canvas:
    canvas = _disc(board)
    middle = _WHOLE // 2
    for share in (0.3, 0.16):
        cv2.circle(canvas, (middle, middle), round(share * _WHOLE), ink, 2 * _FINE, cv2.LINE_AA)
    return canvas


def _dots(board: Colour, ink: Colour) -> Canvas:
    canvas = _disc(board)
    for x, y in ((0.34, 0.36), (0.66, 0.36), (0.5, 0.66)):
        centre = (round(x * _WHOLE), round(y * _WHOLE))
        cv2.circle(canvas, centre, round(0.1 * _WHOLE), ink, -1, cv2.LINE_AA)
    return canvas


def _cup(board: Colour, ink: Colour) -> Canvas:
    canvas = _figure(board, ink, [(0.3, 0.36), (0.62, 0.36), (0.57, 0.7), (0.35, 0.7)])
    centre = (round(0.63 * _WHOLE), round(0.48 * _WHOLE))
    cv2.circle(canvas, centre, round(0.08 * _WHOLE), ink, round(1.6 * _FINE), cv2.LINE_AA)
    return canvas


_LOGOS: dict[str, Callable[[], Canvas]] = {
    "letter K": lambda: _letter("K", _GREEN, _WHITE),
    "letter Z": lambda: _letter("Z", _VIOLET, _YELLOW),
    "letters ev": lambda: _letter("ev", _WHITE, _TEAL),
    "star": lambda: _star(_BLUE, _YELLOW),
    "rings": lambda: _rings(_WHITE, _GREEN),
    "dots": lambda: _dots(_ORANGE, _WHITE),
    "cup": lambda: _cup(_BROWN, _WHITE),
    "leaf": lambda: _figure(
        _WHITE, _GREEN,
        [(0.5, 0.18), (0.68, 0.4), (0.62, 0.66), (0.5, 0.8), (0.38, 0.66), (0.32, 0.4)],
    ),
    "bolt": lambda: _figure(
        _BLACK, _YELLOW,
        [(0.56, 0.16), (0.32, 0.54), (0.48, 0.54), (0.42, 0.84), (0.68, 0.44), (0.52, 0.44)],
    ),
    "house": lambda: _figure(
        _TEAL, _WHITE, [(0.5, 0.2), (0.76, 0.46), (0.24, 0.46)],
        [(0.32, 0.46), (0.68, 0.46), (0.68, 0.74), (0.32, 0.74)],
    ),
    "chevrons": lambda: _figure(
        _PINK, _BLACK,
        [(0.26, 0.46), (0.5, 0.24), (0.74, 0.46), (0.74, 0.58), (0.5, 0.36), (0.26, 0.58)],
        [(0.26, 0.66), (0.5, 0.44), (0.74, 0.66), (0.74, 0.78), (0.5, 0.56), (0.26, 0.78)],
    ),
    "wave": lambda: _figure(
        _YELLOW, _BLUE,
        [(0.18, 0.5), (0.34, 0.38), (0.5, 0.5), (0.66, 0.38), (0.82, 0.5),
         (0.82, 0.66), (0.66, 0.54), (0.5, 0.66), (0.34, 0.54), (0.18, 0.66)],
    ),
}  # fmt: skip

_BOARDS: dict[str, Callable[[], Canvas]] = {
    "white": lambda: _disc(_WHITE),
    "black": lambda: _disc(_BLACK),
    "red": lambda: _disc(_RED),
    "blue": lambda: _disc(_BLUE),
    "green": lambda: _disc(_GREEN),
    "yellow": lambda: _disc(_YELLOW),
    "orange": lambda: _disc(_ORANGE),
    "white, green rim": lambda: _disc(_WHITE, _GREEN),
    "grey, black rim": lambda: _disc((150, 150, 150), _BLACK),
    "violet, white rim": lambda: _disc(_VIOLET, _WHITE),
    "teal above white": lambda: _halves(_TEAL, _WHITE),
    "brown beside yellow": lambda: _halves(_BROWN, _YELLOW, upright=True),
}
