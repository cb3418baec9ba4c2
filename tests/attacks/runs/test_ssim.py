"""SSIM against the formula written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.attacks.runs.ssim import ssim
from evofool.errors import ImageError


def oracle(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """One channel, window by window, in float64."""
    side = min(11, *a.shape)
    at = np.arange(side) - (side - 1) / 2
    line = np.exp(-(at**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for i in range(a.shape[0] - side + 1):
        for j in range(a.shape[1] - side + 1):
            x, y = (image[i : i + side, j : j + side] for image in (a, b))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            cov = (window * (x - mx) * (y - my)).sum()
            c1, c2 = 0.01**2, 0.03**2
            found.append((2 * mx * my + c1) * (2 * cov + c2)
                         / ((mx**2 + my**2 + c1) * (vx + vy + c2)))  # fmt: skip
    return float(np.mean(found))


@pytest.mark.parametrize(("channels", "side"), [(1, 16), (3, 13), (1, 11), (1, 6)])
def test_it_is_the_formula(channels: int, side: int) -> None:
    rng = np.random.default_rng(side)
    a = rng.integers(0, 256, (2, channels, side, side), dtype=np.uint8)
    b = np.clip(a.astype(int) + rng.integers(-40, 41, a.shape), 0, 255).astype(np.uint8)
    wanted = [
        np.mean([oracle(a[n, c] / 255, b[n, c] / 255) for c in range(channels)]) for n in range(2)
    ]
    np.testing.assert_allclose(ssim(a, b), wanted, rtol=0, atol=1e-12)


def test_the_same_picture_is_1_and_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 3, 1, 20, 20)).astype(np.float32)
    np.testing.assert_allclose(ssim(a, a), 1, atol=1e-12)
    np.testing.assert_allclose(ssim(a, b), ssim(b, a), atol=1e-12)
    assert (ssim(a, b) < 0.5).all()


def test_floats_and_levels_agree() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 256, (2, 4, 1, 12, 12), dtype=np.uint8)
    floats = [(x.astype(np.float32) / np.float32(255)) for x in (a, b)]
    np.testing.assert_allclose(ssim(*floats), ssim(a, b), atol=1e-6)


def test_nothing_and_other_shapes() -> None:
    assert ssim(np.zeros((0, 1, 8, 8), np.uint8), np.zeros((0, 1, 8, 8), np.uint8)).shape == (0,)
    with pytest.raises(ImageError, match="the same shape"):
        ssim(np.zeros((1, 1, 8, 8), np.uint8), np.zeros((1, 1, 8, 9), np.uint8))
