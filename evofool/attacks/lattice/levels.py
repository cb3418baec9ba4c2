"""The 8-bit lattice: what of a float perturbation a saved picture can hold, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.errors import ImageError
from evofool.images import FloatImages, UInt8Images, check_images, to_float, to_uint8

Norm: TypeAlias = Literal["linf", "l2", "l1", "l0"]

FUZZ = 1e-3
"""Levels by which float32 arithmetic may miss a lattice point that was meant."""


def on_lattice(images: object) -> UInt8Images:
    """`images` (N x C x H x W, uint8, or floating with every value a multiple of 1/255) as uint8.

    Raises:
        ImageError: floats between two levels; else as `evofool.images.check_images`.
    """
    array = check_images(images)
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    levels = array * np.float32(255)
    if np.abs(levels - np.rint(levels)).max(initial=0.0) > FUZZ:
        raise ImageError(
            "an attack starts from 8-bit pictures, but these floats lie between the levels"
            " k/255; round them first: evofool.images.to_uint8(images)"
        )
    return to_uint8(array.astype(np.float32, copy=False))


def toward(x: FloatImages, clean: UInt8Images) -> UInt8Images:
    """`x` on the lattice, every pixel rounded towards `clean`: never farther from it than `x` is.

    So a ball around the clean picture that holds `x`, in any norm, holds the rounded picture. Both
    are N x C x H x W, and so is the result.
    """
    step = x * np.float32(255) - clean
    near = np.rint(step)
    step = np.where(np.abs(step - near) < FUZZ, near, np.trunc(step))
    levels: UInt8Images = np.clip(clean + step, 0, 255).astype(np.uint8)
    return levels


def effective_eps(eps: float, norm: Norm) -> float:
    """The radius that a picture can use: whole levels in the maximum norm, else `eps`."""
    if norm != "linf":
        return eps
    return float(np.floor(eps * 255 + FUZZ)) / 255


@dataclass(frozen=True)
class Norms:
    """Sizes of N perturbations, images on [0, 1].

    Attributes:
        l0: (N,), how many pixels changed (a pixel counts once, however many of its channels did).
        l2: (N,), Euclidean length over all channels.
        linf: (N,), the largest change of a channel.
    """

    l0: NDArray[np.int64]
    l2: NDArray[np.float64]
    linf: NDArray[np.float64]


def norms(clean: UInt8Images | FloatImages, other: UInt8Images | FloatImages) -> Norms:
    """Sizes of the perturbations `other` - `clean`, both N x C x H x W, uint8 or on [0, 1]."""
    if clean.dtype == np.uint8 and other.dtype == np.uint8:
        difference = (other.astype(np.float64) - clean.astype(np.float64)) / 255
    else:
        difference = to_float(other).astype(np.float64) - to_float(clean).astype(np.float64)
    flat = difference.reshape(len(difference), -1)
    return Norms(
        (difference != 0).any(axis=1).reshape(len(difference), -1).sum(axis=1).astype(np.int64),
        np.sqrt((flat**2).sum(axis=1)),
        np.abs(flat).max(axis=1, initial=0.0),
    )


def project(x: FloatImages, center: FloatImages, eps: float, norm: Norm) -> FloatImages:
    """The nearest images to `x` in the balls of radius `eps` around `center`, cut to [0, 1].

    `norm` is ``linf`` or ``l2``; `x` may leave [0, 1].
    """
    delta = x - center
    if norm == "linf":
        radius = np.float32(eps)
        delta = np.clip(delta, -radius, radius)
    else:
        length = np.sqrt((delta.astype(np.float64) ** 2).sum(axis=(1, 2, 3), keepdims=True))
        scale = np.minimum(1.0, eps / np.maximum(length, 1e-12))
        delta = (delta * scale).astype(np.float32)
    inside: FloatImages = np.clip(center + delta, 0, 1).astype(np.float32)
    return inside
