"""What k transforms are: matrices, kernels and factors, in float64, from counter-based draws.

Each stage of each transform draws from a generator of its own, keyed by (seed, stage, transform):
to switch one stage on changes nothing of the others, and transform 7 is the same whether it is
made alone or with others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.config.transforms import TransformsConfig
from evofool.images import Shape
from evofool.randomness import Stream, generator

Of: TypeAlias = "Callable[[Stage, int, tuple[float, float]], NDArray[np.float64]]"
"""From a stage, a count and a range to float64 k x count draws."""


class Stage(IntEnum):
    """Counters of generators; a number is part of what a digest means, never reuse one."""

    PERSPECTIVE = 1
    ROTATION = 2
    SCALE = 3
    SHIFT = 4
    BRIGHTNESS = 5
    CONTRAST = 6
    MOTION = 7
    DEFOCUS = 8
    RESAMPLE = 9
    NOISE = 10
    JPEG = 11
    ONTO = 12


@dataclass(frozen=True)
class Drawn:
    """k transforms of pictures C x H x W. A stage that does nothing is None.

    Attributes:
        matrices: float64 k x 3 x 3, from pixels of the picture to pixels of what is seen
            (``cv2.warpPerspective`` takes them as they are; the first pixel's centre is 0).
        contrast: float64 (k,), factors about mid-grey.
        brightness: float64 (k,), added afterwards.
        motion: float64 k x s x s, kernels that sum to 1.
        defocus: float64 k x s x s, likewise.
        sides: int64 k x 2, height and width of the picture that a camera takes.
        noise: float64 k x C x H x W, added.
        jpeg: int64 (k,), qualities.
    """

    matrices: NDArray[np.float64] | None
    contrast: NDArray[np.float64] | None
    brightness: NDArray[np.float64] | None
    motion: NDArray[np.float64] | None
    defocus: NDArray[np.float64] | None
    sides: NDArray[np.int64] | None
    noise: NDArray[np.float64] | None
    jpeg: NDArray[np.int64] | None

    @property
    def identity(self) -> bool:
        """Whether they leave every picture as it is."""
        return all(getattr(self, name) is None for name in self.__dataclass_fields__)


def draw(
    config: TransformsConfig,
    shape: Shape,
    transforms: range | None = None,
    stream: Stream = Stream.TRANSFORM,
) -> Drawn:
    """The transforms of a config.

    Args:
        config: the ranges they are drawn from.
        shape: channels, height, width of the pictures.
        transforms: which; by default the first `config.k`.
        stream: ``TRANSFORM``, or ``HELD_BACK`` for others than any that are optimised over.
    """
    numbers = range(config.k) if transforms is None else transforms

    def of(stage: Stage, size: int, span: tuple[float, float]) -> NDArray[np.float64]:
        each = [
            generator(config.seed, stream, stage, j).uniform(span[0], span[1], size)
            for j in numbers
        ]
        return np.array(each, np.float64).reshape(len(numbers), size)

    def factor(stage: Stage, span: tuple[float, float], idle: float) -> NDArray[np.float64] | None:
        return None if span == (idle, idle) else of(stage, 1, span)[:, 0]

    def whole(stage: Stage, span: tuple[int, int]) -> NDArray[np.int64]:
        low, high = span
        levels = np.floor(of(stage, 1, (low, high + 1))[:, 0])
        return np.clip(levels, low, high).astype(np.int64)

    motion = defocus = sides = noise = None
    if config.motion_blur[1] > 0:
        length = of(Stage.MOTION, 2, (0.0, 1.0))
        low, high = config.motion_blur
        motion = motion_kernels(low + (high - low) * length[:, 0], 180 * length[:, 1])
    if config.defocus[1] > 0:
        defocus = disc_kernels(of(Stage.DEFOCUS, 1, config.defocus)[:, 0])
    if config.resample is not None:
        side = whole(Stage.RESAMPLE, config.resample)
        ratio = np.array(shape[1:]) / max(shape[1:])
        sides = np.maximum(1, np.rint(side[:, None] * ratio)).astype(np.int64)
    if config.noise[1] > 0:
        noise = np.zeros((len(numbers), *shape))
        for i, j in enumerate(numbers):
            rng = generator(config.seed, stream, Stage.NOISE, j)
            deviation = rng.uniform(*config.noise)
            noise[i] = deviation * rng.standard_normal(shape)
    return Drawn(
        _matrices(config, shape, of),
        factor(Stage.CONTRAST, config.contrast, 1.0),
        factor(Stage.BRIGHTNESS, config.brightness, 0.0),
        motion,
        defocus,
        sides,
        noise,
        None if config.jpeg is None else whole(Stage.JPEG, config.jpeg),
    )


def _matrices(config: TransformsConfig, shape: Shape, of: Of) -> NDArray[np.float64] | None:
    idle = (0.0, 0.0)
    still = config.rotation == config.shift == idle and config.scale == (1.0, 1.0)
    if still and config.perspective == 0:
        return None
    p = config.perspective
    corners = of(Stage.PERSPECTIVE, 8, (-p, p)).reshape(-1, 4, 2)
    degrees = of(Stage.ROTATION, 1, config.rotation)[:, 0]
    scales = of(Stage.SCALE, 1, config.scale)[:, 0]
    shifts = of(Stage.SHIFT, 2, config.shift)
    each = zip(corners, degrees, scales, shifts, strict=True)
    return np.array([homography(shape, *one) for one in each]).reshape(-1, 3, 3)


def homography(
    shape: Shape,
    corners: NDArray[np.float64],
    degrees: float,
    scale: float,
    shift: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The matrix that rotates, scales and shifts a picture, and then moves its corners.

    Args:
        shape: channels, height, width.
        corners: float64 4 x 2, how far each corner of the frame moves across and down, as a share
            of the sides: upper left, upper right, lower right, lower left.
        degrees: of the rotation about the centre, counter-clockwise as it is seen.
        scale: about the centre.
        shift: float64 (2,), across and down, as a share of the sides.

    Returns:
        float64 3 x 3, from pixels to pixels, with the centre of the first pixel at 0.
    """
    height, width = shape[1:]
    sides = np.array([width, height], np.float64)
    centre = (sides - 1) / 2
    angle = np.deg2rad(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    affine = np.eye(3)
    affine[:2, :2] = turn
    affine[:2, 2] = centre - turn @ centre + shift * sides
    if not corners.any():
        return affine
    frame = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * sides - 0.5
    return _through(frame, frame + corners * sides) @ affine


def _through(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """The homography that takes four points to four others, float64 3 x 3 with last entry 1."""
    rows, right = [], []
    for (x, y), (u, v) in zip(before.tolist(), after.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved = np.linalg.solve(np.array(rows, np.float64), np.array(right, np.float64))
    return np.append(solved, 1.0).reshape(3, 3)


_FINE = 8
"""Points a pixel, along a line and each way over a disc, that kernels are summed from."""


def motion_kernels(
    lengths: NDArray[np.float64], degrees: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Kernels of a steady movement along a line, each point spread over its four pixels.

    Args:
        lengths: (k,), pixels.
        degrees: (k,), of the direction.

    Returns:
        float64 k x s x s with s odd, each of which sums to 1.
    """
    half = int(np.ceil(lengths.max(initial=0.0) / 2)) + 1
    kernels = np.zeros((len(lengths), 2 * half + 1, 2 * half + 1))
    for kernel, length, angle in zip(kernels, lengths, np.deg2rad(degrees), strict=True):
        points = max(1, int(np.ceil(length * _FINE)))
        along = ((np.arange(points) + 0.5) / points - 0.5) * length
        _spread(kernel, half + along * np.cos(angle), half - along * np.sin(angle))
    kernels /= kernels.sum((1, 2), keepdims=True)
    return kernels


def disc_kernels(radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernels of a lens out of focus: discs, whose edge pixels count by the share that is covered.

    Args:
        radii: (k,), pixels.

    Returns:
        float64 k x s x s with s odd, each of which sums to 1.
    """
    half = int(np.ceil(radii.max(initial=0.0)))
    fine = (np.arange((2 * half + 1) * _FINE) + 0.5) / _FINE - 0.5 - half
    distance = np.hypot(fine[:, None], fine[None])
    kernels = np.zeros((len(radii), 2 * half + 1, 2 * half + 1))
    for kernel, radius in zip(kernels, radii, strict=True):
        inside = (distance <= radius).astype(np.float64)
        side = 2 * half + 1
        kernel[:] = inside.reshape(side, _FINE, side, _FINE).mean((1, 3))
        if not kernel.any():
            kernel[half, half] = 1.0  # a radius of less than a sixteenth of a pixel
    kernels /= kernels.sum((1, 2), keepdims=True)
    return kernels


def _spread(kernel: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, down = x - left, y - top
    for dy, dx, weight in (
        (0, 0, (1 - down) * (1 - right)),
        (0, 1, (1 - down) * right),
        (1, 0, down * (1 - right)),
        (1, 1, down * right),
    ):
        np.add.at(kernel, (top + dy, left + dx), weight)


def resampling(length: int, taken: int) -> NDArray[np.float64]:
    """A side of `length` pixels photographed with `taken` and brought back, as one matrix.

    Growing is bilinear, shrinking by the mean over areas, as of ``cv2.INTER_LINEAR`` and
    ``cv2.INTER_AREA``.

    Args:
        length: pixels of the side.
        taken: pixels of the camera's picture of it.

    Returns:
        float64 length x length, rows of which sum to 1.
    """
    return _resized(taken, length) @ _resized(length, taken)


def _resized(before: int, after: int) -> NDArray[np.float64]:
    """float64 after x before."""
    matrix = np.zeros((after, before))
    if after < before:
        edges = np.arange(after + 1) * (before / after)
        pixels = np.arange(before)
        overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        matrix[:] = np.maximum(overlap, 0.0)
        matrix /= matrix.sum(1, keepdims=True)
        return matrix
    at = np.clip((np.arange(after) + 0.5) * (before / after) - 0.5, 0, before - 1)
    low = np.minimum(np.floor(at).astype(np.int64), max(0, before - 2))
    rows = np.arange(after)
    matrix[rows, low] += 1 - (at - low)
    matrix[rows, np.minimum(low + 1, before - 1)] += at - low
    return matrix
