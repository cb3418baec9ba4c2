"""The frames of a drive: the street, the sign in it by a homography, light, blur and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from evofool.errors import UsageError
from evofool.images import FloatImages, UInt8Images, to_float, to_uint8
from evofool.randomness import Stream, generator
from evofool.signs.camera import Camera, Place, Stand, Window, place
from evofool.signs.plates import Sign
from evofool.signs.scene import Street, fill, pole, street

_FINE = 4
_STREET, _LIGHT, _FIELD, _DETECTOR, _SHAKE, _GRAIN = range(6)
"""What numbers of `Stream.SCENE` are drawn for; the first is the street itself."""


@dataclass(frozen=True)
class Approach:
    """How a sign is driven by.

    Attributes:
        frames: of the film.
        far: metres to the sign in the first frame.
        near: metres to it in the last; between them the speed is constant.
        turned: degrees that the sign is turned about its pole in the last frame, away from the
            road; none in the first, and evenly between.
        side: of the sign, in metres.
        jitter: of the simulated detector: its box is moved, and each side of it made longer or
            shorter, by up to this share of the side.
        margin: that the detector leaves around the sign, as a share of its side.
        light: largest change of the exposure over the drive, as a share.
        shutter: share of the time between frames in which the sign smears over the sensor.
        noise: standard deviation of the sensor's noise in the dark, on [0, 1]; bright pixels have
            more.
        seed: of street, light, noise and detector.
    """

    frames: int = 100
    far: float = 40.0
    near: float = 6.0
    turned: float = 15.0
    side: float = 0.6
    jitter: float = 0.05
    margin: float = 0.0
    light: float = 0.2
    shutter: float = 0.25
    noise: float = 0.008
    seed: int = 1

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise UsageError(f"a drive needs at least one frame, not {self.frames}")
        if self.frames > MOST_FRAMES:
            raise UsageError(f"a drive has at most {MOST_FRAMES} frames, not {self.frames}")
        numbers = (
            ("far", self.far, 0.1, 1000), ("near", self.near, 0.1, 1000),
            ("turned", self.turned, -80, 80), ("side", self.side, 0.01, 5),
            ("jitter", self.jitter, 0, 0.5), ("margin", self.margin, 0, 1),
            ("light", self.light, 0, 0.9), ("shutter", self.shutter, 0, 1),
            ("noise", self.noise, 0, 0.5),
        )  # fmt: skip
        for name, value, low, high in numbers:
            if not low <= value <= high:  # a NaN fails both
                raise UsageError(
                    f"{name} of a drive must lie within {low:g} and {high:g}, not {value:g}"
                )
        if self.near > self.far:
            raise UsageError(
                f"a drive must end nearer than it begins, not at {self.near:g} m after"
                f" {self.far:g} m"
            )
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"a seed must lie within 0 and 2^63 - 1, not {self.seed}")

    def share(self, frame: int) -> float:
        """How far the drive is in a frame: 0 in the first and 1 in the last."""
        return frame / max(1, self.frames - 1)

    def distance(self, frame: int) -> float:
        """Metres to the sign."""
        return self.far + self.share(frame) * (self.near - self.far)

    def angle(self, frame: int) -> float:
        """Degrees that the sign is turned."""
        return self.share(frame) * self.turned


MOST_FRAMES = 10_000


@dataclass(frozen=True)
class Footage:
    """The frames of one sign's drive; each can be drawn alone, whole or in part, always the same.

    Attributes:
        sign: that is driven by.
        approach: how.
        number: of the drive: with the seed it decides street, light and noise.
        camera: in the car.
    """

    sign: Sign
    approach: Approach = field(default_factory=Approach)
    number: int = 0
    camera: Camera = field(default_factory=Camera)

    def check(self) -> None:
        """Raises `UsageError` where the sign cannot be seen whole in every frame."""
        for frame in {0, self.approach.frames - 1}:
            self.place(frame)

    @property
    def stand(self) -> Stand:
        """Where the sign stands."""
        return Stand(side=self.approach.side)

    def place(self, frame: int) -> Place:
        """Where the sign is seen in a frame; raises as `evofool.signs.camera.place`."""
        a = self.approach
        return place(self.sign, self.camera, self.stand, a.distance(frame), a.angle(frame))

    def angle_seen(self, frame: int) -> float:
        """Degrees between the sign's normal and the line to the camera, about its pole."""
        a = self.approach
        return self.stand.seen_from(self.camera, a.distance(frame), a.angle(frame))

    def frame(self, frame: int) -> UInt8Images:
        """A whole frame, H x W x 3."""
        return self.part(frame, (0, 0, self.camera.width, self.camera.height))

    def crop(self, frame: int) -> tuple[UInt8Images, Window]:
        """What the simulated detector cuts out, h x w x 3, and where."""
        window = self.detected(frame)
        return self.part(frame, window), window

    def detected(self, frame: int) -> Window:
        """The box that the simulated detector gives: the sign's own, widened and jittered."""
        a, rng = self.approach, self._drawn(frame, _DETECTOR)
        left, top, right, bottom = self.place(frame).box
        sizes = np.array([right - left, bottom - top])
        centre = np.array([right + left, bottom + top]) / 2
        centre = centre + a.jitter * rng.uniform(-1, 1, 2) * sizes
        half = sizes * (1 + 2 * a.margin + a.jitter * rng.uniform(-1, 1, 2)) / 2
        low, high = np.rint(centre - half).astype(int), np.rint(centre + half).astype(int)
        high = np.maximum(high, low + 1)
        most = np.array([self.camera.width, self.camera.height])
        low = np.clip(low, 0, most - 1)
        high = np.clip(high, low + 1, most)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def part(self, frame: int, window: Window) -> UInt8Images:
        """A part of a frame, h x w x 3: the same pixels as in the whole one."""
        kernel = self._smear(frame)
        around = len(kernel) // 2 + 1
        left, top, right, bottom = window
        outer = (
            max(0, left - around), max(0, top - around),
            min(self.camera.width, right + around), min(self.camera.height, bottom + around),
        )  # fmt: skip
        image = self._lit(frame, outer)
        if len(kernel) > 1:
            blurred = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
            image = np.asarray(blurred, np.float32)
        image = image[top - outer[1] : bottom - outer[1], left - outer[0] : right - outer[0]]
        if self.approach.noise > 0:
            grain = self._grain(frame, window)
            image = image + grain * np.sqrt(self.approach.noise**2 + 4e-4 * image)
        return to_uint8(np.ascontiguousarray(image, np.float32))

    def _lit(self, frame: int, window: Window) -> FloatImages:
        """Street, pole and sign in the light of the frame, without blur and noise."""
        a, camera = self.approach, self.camera
        distance = a.distance(frame)
        picture = self._street.draw(camera, a.far - distance, window)
        stand = self.stand
        steel = self._street.hazy((128, 130, 132), distance)
        fill(picture, camera.project(pole(stand.right, stand.up, distance + 0.02)), steel)
        left, top, right, bottom = window
        image = to_float(picture[top:bottom, left:right])
        image = self._pasted(image, frame, window)
        lit: FloatImages = np.clip(image * np.float32(self._exposure(frame)), 0, 1)
        return lit

    def _pasted(self, image: FloatImages, frame: int, window: Window) -> FloatImages:
        """The sign in its place: drawn four times finer, then the mean of what a pixel covers."""
        seen = self.place(frame)
        low = np.maximum(np.floor(seen.corners.min(0)).astype(int) - 1, window[:2])
        high = np.minimum(np.ceil(seen.corners.max(0)).astype(int) + 1, window[2:])
        if (high <= low).any():
            return image
        rows = self._layers(self.sign.seen(self.angle_seen(frame)))
        small = _at_most(rows, 2 * _FINE * float(np.ptp(seen.corners, axis=0).max()))
        sx, sy = rows.shape[1] / small.shape[1], rows.shape[0] / small.shape[0]
        from_small = np.array([(sx, 0, sx / 2 - 0.5), (0, sy, sy / 2 - 0.5), (0, 0, 1)])
        to_fine = np.array([(_FINE, 0, 0), (0, _FINE, 0), (0, 0, 1)], np.float64)
        to_fine[:2, 2] = _FINE * (0.5 - low) - 0.5
        width, height = (high - low).tolist()
        fine = cv2.warpPerspective(
            small, to_fine @ seen.matrix @ from_small, (width * _FINE, height * _FINE),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0),
        )  # fmt: skip
        warped = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
        air = self._street.air(self.approach.distance(frame))
        far = np.array(self._street.sky[1], np.float32) / 255
        solid = warped[..., 3:]
        colour = air * warped[..., :3] + (1 - air) * far * solid
        inside = tuple(slice(low[k] - window[k], high[k] - window[k]) for k in (1, 0))
        image[inside] = colour + (1 - solid) * image[inside]
        return image

    def _layers(self, picture: FloatImages) -> FloatImages:
        """Picture and opacity as H x W x 4."""
        if self.sign.seen_at is None:
            return self._fixed_layers
        return np.dstack((picture.transpose(1, 2, 0), self.sign.opacity)).astype(np.float32)

    @cached_property
    def _fixed_layers(self) -> FloatImages:
        layers = self.sign.picture.transpose(1, 2, 0), self.sign.opacity
        return np.dstack(layers).astype(np.float32)

    def _exposure(self, frame: int) -> float:
        """What the light of a frame is multiplied by: it changes slowly along the drive."""
        rng = self._drawn(0, _LIGHT)
        start, waves = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 2)
        level = rng.uniform(-0.5, 0.5) + 0.5 * math.sin(
            start + waves * 2 * math.pi * self.approach.share(frame)
        )
        return float(1 + self.approach.light * level)

    def _smear(self, frame: int) -> NDArray[np.float32]:
        """The kernel of the blur: a line as long as the sign moves while the shutter is open."""
        a = self.approach
        last = max(0, min(frame, a.frames - 2))
        moved = np.zeros(2)
        if a.frames > 1 and a.shutter > 0:
            moved = self.place(last + 1).corners.mean(0) - self.place(last).corners.mean(0)
        moved = moved * a.shutter + self._drawn(frame, _SHAKE).normal(0, 0.3, 2) * (a.shutter > 0)
        reach = math.ceil(np.abs(moved).max() / 2)
        if reach == 0 or np.hypot(*moved) < 0.3:
            return np.ones((1, 1), np.float32)
        side = 2 * reach + 1
        kernel = np.zeros((side, side), np.float32)
        steps = max(2, 4 * side)
        for share in (np.arange(steps) + 0.5) / steps - 0.5:  # spread over the four nearest pixels
            x, y = reach + share * moved
            i, j = int(x), int(y)
            for column, row, part in (
                (i, j, (i + 1 - x) * (j + 1 - y)), (i + 1, j, (x - i) * (j + 1 - y)),
                (i, j + 1, (i + 1 - x) * (y - j)), (i + 1, j + 1, (x - i) * (y - j)),
            ):  # fmt: skip
                if column < side and row < side:
                    kernel[row, column] += part
        kernel /= kernel.sum()
        return kernel

    def _grain(self, frame: int, window: Window) -> FloatImages:
        """Standard normal noise of a part of a frame, h x w x 3, float32."""
        height, width = self._noise.shape[:2]
        down, right = self._drawn(frame, _GRAIN).integers((height, width))
        left, top, end, bottom = window
        rows = (np.arange(top, bottom) + down) % height
        columns = (np.arange(left, end) + right) % width
        grain: FloatImages = self._noise[rows[:, None], columns]
        return grain

    def _drawn(self, frame: int, purpose: int) -> np.random.Generator:
        """What is drawn from for one purpose in one frame."""
        return generator(self.approach.seed, Stream.SCENE, self.number, frame * 16 + purpose)

    @cached_property
    def _street(self) -> Street:
        return street(self.approach.seed, self.number)

    @cached_property
    def _noise(self) -> FloatImages:
        """One field for the drive, H x W x 3: each frame takes it shifted."""
        shape = (self.camera.height, self.camera.width, 3)
        return self._drawn(0, _FIELD).standard_normal(shape, np.float32)


def _at_most(rows: FloatImages, side: float) -> FloatImages:
    """A picture H x W x C with a longer side of about `side` at most, each pixel a mean."""
    longest = max(rows.shape[:2])
    if longest <= side:
        return rows
    size = [max(1, round(n * side / longest)) for n in (rows.shape[1], rows.shape[0])]
    return np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.float32)
