"""A street that is drawn, not photographed: sky, road, verges, houses, trees, poles.

Everything stands at a place in metres and is seen through the camera, so that it comes nearer as
the car does. What stands where is drawn once, from the seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evofool.images import UInt8Images
from evofool.randomness import Stream, generator
from evofool.signs.camera import Camera, Window
from evofool.signs.plates import Points

Colour = tuple[float, float, float]
"""Red, green, blue from 0 to 255."""

REACH = 160.0
"""Metres ahead that things are drawn for."""
NEAREST = 1.0
"""Metres; what is nearer is behind the windscreen."""
HAZE = 260.0
"""Metres after which a colour has come to 1/e of its difference to the horizon's."""
_SUBPIXELS = 4
_ROAD, _VERGE = 3.2, 1.2
"""Half the width of the road, and what lies between it and the gardens, in metres."""

_WALLS: tuple[Colour, ...] = (
    (214, 203, 184), (188, 122, 96), (226, 222, 210), (196, 178, 140), (164, 168, 172),
)  # fmt: skip
_ROOFS: tuple[Colour, ...] = ((122, 66, 52), (84, 78, 76), (140, 88, 62))
_GREENS: tuple[Colour, ...] = ((62, 96, 50), (82, 116, 58), (48, 82, 52), (102, 120, 60))
_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((96, 148, 206), (196, 216, 232)),
    ((168, 178, 188), (214, 216, 214)),
    ((120, 160, 200), (236, 214, 186)),
)


@dataclass(frozen=True)
class Thing:
    """Something beside the road.

    Attributes:
        kind: ``house``, ``tree`` or ``pole``.
        right: of the camera's path, metres to its middle; to the left below 0.
        ahead: of the place where the drive begins, in metres.
        width: in metres.
        height: in metres.
        colour: of walls or leaves.
        other: of roof or trunk.
    """

    kind: str
    right: float
    ahead: float
    width: float
    height: float
    colour: Colour
    other: Colour


@dataclass(frozen=True)
class Street:
    """A street as it is seen from any place along it.

    Attributes:
        sky: colours above and at the horizon.
        ground: colours of road and verge.
        things: the farthest first.
    """

    sky: tuple[Colour, Colour]
    ground: tuple[Colour, Colour]
    things: tuple[Thing, ...]

    def draw(self, camera: Camera, travelled: float, window: Window | None = None) -> UInt8Images:
        """What the camera sees after `travelled` metres: uint8 H x W x 3.

        Only what lies in `window` need be right: what is not seen there is left out.
        """
        top, far = self.sky
        rows = np.arange(camera.height, dtype=np.float64)
        share = np.clip(rows / camera.horizon, 0, 1)[:, None]
        column = (1 - share) * np.array(top) + share * np.array(far)
        frame = np.empty((camera.height, camera.width, 3), np.uint8)
        frame[...] = np.rint(column).astype(np.uint8)[:, None]
        self._draw_ground(frame, camera, travelled)
        for thing in self.things:
            z = thing.ahead - travelled
            if NEAREST < z < REACH and (window is None or _touches(thing, z, camera, window)):
                for points, colour in _parts(thing, z):
                    fill(frame, camera.project(points), self.hazy(colour, z))
        return frame

    def air(self, z: float) -> float:
        """The share of a colour that is left over `z` metres of air; the rest is the horizon's."""
        return math.exp(-z / HAZE)

    def hazy(self, colour: Colour, z: float) -> Colour:
        """`colour` as it is seen over `z` metres of air."""
        left = self.air(z)
        far = self.sky[1]
        return tuple(left * a + (1 - left) * b for a, b in zip(colour, far, strict=True))  # type: ignore[return-value]

    def _draw_ground(self, frame: UInt8Images, camera: Camera, travelled: float) -> None:
        road, verge = self.ground
        stripes = (
            (-200.0, 200.0, verge), (-_ROAD - _VERGE, _ROAD + _VERGE, (150, 146, 138)),
            (-_ROAD, _ROAD, road),
        )  # fmt: skip
        path = 1.6  # the car keeps to the right half of the road
        for left, right, colour in stripes:
            fill(frame, camera.project(_strip(left - path, right - path, NEAREST, 2000)), colour)
        first = np.floor(travelled / 6) * 6
        for start in np.arange(first, travelled + 90, 6.0):
            near, far = max(start - travelled, NEAREST), start + 3 - travelled
            if far > near:
                white = self.hazy((226, 224, 216), near)
                fill(frame, camera.project(_strip(-0.08 - path, 0.08 - path, near, far)), white)


def street(seed: int, number: int = 0) -> Street:
    """The street of a seed and a number, the same whenever it is drawn."""
    rng = generator(seed, Stream.SCENE, number, 0)
    sky = _SKIES[int(rng.integers(len(_SKIES)))]
    grey = float(rng.uniform(84, 112))
    verge = _GREENS[int(rng.integers(len(_GREENS)))]
    things = sorted(_things(rng), key=lambda thing: -thing.ahead)
    return Street(sky, ((grey, grey, grey + 3), verge), tuple(things))


def _things(rng: np.random.Generator) -> Iterator[Thing]:
    town = float(rng.uniform(0.2, 0.8))
    for side in (-1, 1):
        ahead = float(rng.uniform(4, 12))
        while ahead < REACH + 60:
            if rng.random() < town:
                width, height = float(rng.uniform(7, 12)), float(rng.uniform(5, 9))
                away = float(rng.uniform(9, 13)) + width / 2
                wall = _WALLS[int(rng.integers(len(_WALLS)))]
                roof = _ROOFS[int(rng.integers(len(_ROOFS)))]
                yield Thing("house", side * away, ahead, width, height, wall, roof)
                ahead += width + float(rng.uniform(1, 7))
            else:
                width, height = float(rng.uniform(2.5, 5)), float(rng.uniform(4, 9))
                away = float(rng.uniform(6.5, 12))
                green = _GREENS[int(rng.integers(len(_GREENS)))]
                yield Thing("tree", side * away, ahead, width, height, green, (86, 66, 50))
                ahead += float(rng.uniform(3, 8))
        for lamp in np.arange(float(rng.uniform(8, 30)), REACH + 60, 28.0).tolist():
            yield Thing("pole", side * 5.6 - 1.6, lamp, 0.16, 7.0, (120, 122, 124), (232, 226, 196))


def _touches(thing: Thing, z: float, camera: Camera, window: Window) -> bool:
    """Whether something of a thing may be seen in the window."""
    half = 0.5 * thing.width + (1.8 if thing.kind == "pole" else 0.0)
    half *= 1.2  # leaves
    deep = z + (thing.width if thing.kind == "house" else 0.0)
    sides = [thing.right - half, thing.right + half]
    seen = [camera.width / 2 + camera.focal * x / depth for x in sides for depth in (z, deep)]
    return min(seen) - 3 <= window[2] and max(seen) + 3 >= window[0]


def _parts(thing: Thing, z: float) -> Iterator[tuple[NDArray[np.float64], Colour]]:
    """The areas of a thing `z` metres ahead, (N, 3) in metres each, the farthest first."""
    x, w, h = thing.right, thing.width / 2, thing.height
    if thing.kind == "house":
        yield from _house(thing, z)
        return
    if thing.kind == "pole":
        yield _upright(x - w, x + w, 0, h, z), thing.colour
        arm = -1.4 if x > 0 else 1.4
        yield _upright(min(x, x + arm), max(x, x + arm), h - 0.12, h, z), thing.colour
        yield _upright(x + arm - 0.3, x + arm + 0.3, h - 0.3, h - 0.12, z), thing.other
        return
    yield _upright(x - 0.18, x + 0.18, 0, 0.5 * h, z), thing.other
    shades = (0.82, 1.0, 1.12)
    for (right, up, radius), shade in zip(
        ((-0.3, 0.55, 0.62), (0.3, 0.6, 0.6), (0.0, 0.76, 0.66)), shades, strict=True
    ):
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        ring = np.stack(
            [x + w * (right + radius * np.cos(angles)), h * up + w * radius * np.sin(angles),
             np.full_like(angles, z)], 1,
        )  # fmt: skip
        yield ring, _shaded(thing.colour, shade)


def _house(thing: Thing, z: float) -> Iterator[tuple[NDArray[np.float64], Colour]]:
    x, w, h = thing.right, thing.width / 2, thing.height
    inner = x - w if x > 0 else x + w
    depth = thing.width
    wall, roof = 0.68 * h, h
    side = np.array(
        [(inner, 0, z), (inner, wall, z), (inner, wall, z + depth), (inner, 0, z + depth)]
    )
    yield side, _shaded(thing.colour, 0.72)
    slope = np.array(
        [(inner, wall, z), (x, roof, z), (x, roof, z + depth), (inner, wall, z + depth)]
    )
    yield slope, _shaded(thing.other, 0.86)
    yield _upright(x - w, x + w, 0, wall, z), thing.colour
    gable = np.array([(x - w, wall, z), (x, roof, z), (x + w, wall, z)])
    yield gable, _shaded(thing.colour, 0.94)
    for column in (-0.55, 0.55):
        for row in (0.16, 0.44):
            left, bottom = x + (column - 0.2) * w, row * h
            yield _upright(left, left + 0.4 * w, bottom, bottom + 0.14 * h, z), (70, 82, 96)


def pole(right: float, up: float, z: float) -> NDArray[np.float64]:
    """What holds a sign, from the road to `up` metres above it, `z` metres ahead.

    Returns:
        4 x 3 float64: corners, in metres, as `Camera.project` takes them.
    """
    return _upright(right - 0.04, right + 0.04, 0, up, z)


def _upright(left: float, right: float, low: float, high: float, z: float) -> NDArray[np.float64]:
    return np.array([(left, low, z), (left, high, z), (right, high, z), (right, low, z)])


def _strip(left: float, right: float, near: float, far: float) -> NDArray[np.float64]:
    return np.array([(left, 0.0, near), (left, 0.0, far), (right, 0.0, far), (right, 0.0, near)])


def _shaded(colour: Colour, by: float) -> Colour:
    return tuple(min(255.0, by * level) for level in colour)  # type: ignore[return-value]


def fill(frame: UInt8Images, points: Points, colour: Colour) -> None:
    """Fill a polygon of `frame`, H x W x 3, with soft edges; `points` in its pixels, N x 2."""
    fine = np.rint(np.clip(points, -20000, 20000) * 2**_SUBPIXELS).astype(np.int32)
    rounded = tuple(round(level) for level in colour)
    cv2.fillPoly(frame, [fine], rounded, lineType=cv2.LINE_AA, shift=_SUBPIXELS)
