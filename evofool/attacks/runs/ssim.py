"""Structural similarity of two pictures (Wang et al., IEEE TIP 2004, equation 13)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evofool.errors import ImageError
from evofool.images import FloatImages, UInt8Images

WINDOW = 11
SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(a: UInt8Images | FloatImages, b: UInt8Images | FloatImages) -> NDArray[np.float64]:
    """The mean SSIM of each pair of pictures, (N,), averaged over channels; 1 where they are equal.

    A Gaussian window of 11 x 11 and deviation 1.5 over every place where it fits, on [0, 1], in
    float64, as in the paper (without its optional shrinking of large pictures). The window of a
    picture with a side below 11 is as large as the side.

    Raises:
        ImageError: pictures of different shapes.
    """
    if a.shape != b.shape or a.ndim != 4:
        raise ImageError(f"SSIM compares pictures of the same shape, not {a.shape} and {b.shape}")
    if not len(a):
        return np.zeros(0)
    x, y = _unit(a), _unit(b)
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x = _blurred(x * x) - mean_x**2
    var_y = _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    top = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    bottom = (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    similarity: NDArray[np.float64] = (top / bottom).mean(axis=(1, 2, 3))
    return similarity


def _unit(images: UInt8Images | FloatImages) -> NDArray[np.float64]:
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    return images.astype(np.float64) / scale


def _blurred(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means over all windows that fit, one axis after the other."""
    for axis in (-2, -1):
        side = images.shape[axis]
        weights = _gaussian(min(WINDOW, side))
        fits = side - len(weights) + 1
        total = np.zeros(())
        for k, weight in enumerate(weights):
            total = total + weight * np.take(images, range(k, k + fits), axis)
        images = total
    return images


def _gaussian(size: int) -> NDArray[np.float64]:
    at = np.arange(size) - (size - 1) / 2
    weights: NDArray[np.float64] = np.exp(-(at**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    return weights
