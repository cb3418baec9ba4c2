"""Histograms of gradients against a loop over pixels, cells and blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evofool.classifiers.nets.hog import Hog, check_sides
from evofool.errors import ClassifierError
from evofool.images import to_float


def by_hand(image: np.ndarray) -> np.ndarray:
    """The descriptor of one picture, C x H x W on [0, 1], in float64."""
    channels, height, width = image.shape
    cells = np.zeros((9, height // 4, width // 4))
    for y in range(height):
        for x in range(width):
            best, slope = 0.0, (0.0, 0.0)
            for c in range(channels):
                dx = image[c, y, min(x + 1, width - 1)] - image[c, y, max(x - 1, 0)]
                dy = image[c, min(y + 1, height - 1), x] - image[c, max(y - 1, 0), x]
                if dx * dx + dy * dy > best:
                    best, slope = dx * dx + dy * dy, (dy, dx)
            place = (math.atan2(*slope) % math.pi) / (math.pi / 9)
            for b in range(9):
                distance = min(abs(place - b - 0.5), 9 - abs(place - b - 0.5))
                cells[b, y // 4, x // 4] += math.sqrt(best) * max(0.0, 1 - distance) / 16
    _, down, across = cells.shape
    rows = np.zeros((36, down - 1, across - 1))
    for y in range(down - 1):
        for x in range(across - 1):
            block = np.concatenate(
                [cells[:, y, x], cells[:, y, x + 1], cells[:, y + 1, x], cells[:, y + 1, x + 1]]
            )
            block = np.minimum(block / math.sqrt((block**2).sum() + 1e-4), 0.2)
            rows[:, y, x] = block / math.sqrt((block**2).sum() + 1e-4)
    return rows.ravel()


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_what_the_loop_gives(channels: int) -> None:
    images = np.random.default_rng(2).integers(0, 256, (3, channels, 12, 16), dtype=np.uint8)
    images[2] = 77  # an even surface
    values = Hog()(torch.from_numpy(to_float(images))).numpy()
    wanted = np.stack([by_hand(image) for image in to_float(images).astype(np.float64)])
    np.testing.assert_allclose(values, wanted, atol=1e-5)
    assert values.shape == (3, 36 * 2 * 3)
    assert not values[2].any()


def test_its_slopes_are_finite_also_on_even_surfaces() -> None:
    images = torch.full((2, 3, 16, 16), 0.5)
    images[1] = torch.rand((3, 16, 16), generator=torch.Generator().manual_seed(1))
    images.requires_grad_(True)
    (slope,) = torch.autograd.grad(Hog()(images).sum(), images)
    assert bool(slope.isfinite().all())
    assert bool(slope[1].any())


@pytest.mark.parametrize("shape", [(1, 30, 32), (1, 32, 4)])
def test_sides_that_cells_do_not_divide(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ClassifierError, match="net: histograms of gradients need sides that"):
        check_sides(shape, "net")
