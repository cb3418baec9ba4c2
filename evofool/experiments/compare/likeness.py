"""What pictures are like, in numbers: how rough they are, and how much there is in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evofool.images import UInt8Images, encode_png

EDGE = 51
"""Levels of 255 by more than which neighbours must differ for an edge: .2 on [0, 1]. They are
compared as whole numbers, since many differ by just so much."""


@dataclass(frozen=True)
class Likeness:
    """Of one picture.

    Attributes:
        variation: mean difference of horizontal and vertical neighbours, values on [0, 1]: 1/3 of
            uniform noise.
        slope: of log power over log frequency, averaged over directions: 0 of white noise, about
            -2 of natural photographs; NaN of a picture of one colour.
        edges: share of neighbours that differ by more than `EDGE` levels.
        colours: different pixels.
        png: bytes as PNG.
    """

    variation: float
    slope: float
    edges: float
    colours: int
    png: int


def likeness(picture: UInt8Images, png: bytes | None = None) -> Likeness:
    """What a picture is like.

    Args:
        picture: C x H x W, uint8, levels 0..255.
        png: it as a PNG file, where that is at hand.
    """
    levels = picture.astype(np.int64)
    steps = np.concatenate([np.abs(np.diff(levels, axis=axis)).ravel() for axis in (1, 2)])
    return Likeness(
        float(steps.mean()) / 255 if steps.size else 0.0,
        spectrum_slope(levels / 255),
        float((steps > EDGE).mean()) if steps.size else 0.0,
        _colours(picture),
        len(encode_png(picture) if png is None else png),
    )


def spectrum_slope(values: np.typing.NDArray[np.float64]) -> float:
    """Slope of log power over log frequency, from 1 cycle a picture up to half of the pixels.

    Args:
        values: C x H x W of any range.
    """
    _, height, width = values.shape
    centred = values - values.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centred)) ** 2).sum(axis=0)
    down, across = np.fft.fftfreq(height) * height, np.fft.fftfreq(width) * width
    radius = np.rint(np.hypot(down[:, None], across[None])).astype(np.int64)
    top = min(height, width) // 2
    frequencies = np.arange(1, top + 1)
    sums = np.bincount(radius.ravel(), power.ravel(), minlength=top + 1)
    counts = np.bincount(radius.ravel(), minlength=top + 1)
    means = sums[frequencies] / counts[frequencies]
    some = means > 0
    if some.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(frequencies[some]), np.log(means[some]), 1)[0])


def _colours(picture: UInt8Images) -> int:
    """Different pixels of C x H x W."""
    pixels = np.zeros(picture[0].size, np.int64)
    for channel in picture:  # as one number each, which sorts faster than rows do
        pixels = pixels * 256 + channel.ravel()
    return len(np.unique(pixels))
