"""Pictures of noise: what rubbish tests and gradient ascent start from."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

from evofool.errors import UsageError
from evofool.images import Shape, UInt8Images, to_uint8
from evofool.randomness import Stream, generator

NoiseKind: TypeAlias = Literal["uniform", "normal", "dim", "grey"]
"""``uniform``: on [0, 1]; ``normal``: N(0, I) cut to [0, 1]; ``dim``: N(127, 10) of 255 levels, the
published start of gradient ascent; ``grey``: level 127 everywhere."""


def noise_image(kind: NoiseKind, shape: Shape, seed: int, index: int) -> UInt8Images:
    """Picture `index` of noise, uint8 C x H x W, which depends on (seed, index) alone.

    Goodfellow et al. (ICLR 2015, section 7) draw from N(0, I); what a picture cannot hold of that
    (everything below 0 or above 1) is cut off here.

    Raises:
        UsageError: an unknown kind.
    """
    if kind not in get_args(NoiseKind):
        raise UsageError(f"noise {kind!r} is not one of {', '.join(get_args(NoiseKind))}")
    if kind == "grey":
        return np.full(shape, 127, np.uint8)
    rng = generator(seed, Stream.NOISE, index, 0)
    if kind == "uniform":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    values = rng.standard_normal(shape, dtype=np.float32)
    if kind == "dim":
        values = (127 + 10 * values) / np.float32(255)
    return to_uint8(values)


def noise_images(kind: NoiseKind, shape: Shape, n: int, seed: int = 0) -> UInt8Images:
    """Pictures 0 to n - 1 of `noise_image`, uint8 n x C x H x W."""
    images = np.empty((n, *shape), np.uint8)
    for index in range(n):
        images[index] = noise_image(kind, shape, seed, index)
    return images
