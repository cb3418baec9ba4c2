"""Rounding towards the clean picture, norms, projection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from evofool.attacks.lattice.levels import effective_eps, norms, on_lattice, project, toward
from evofool.errors import ImageError
from evofool.images import to_float

CLEAN = arrays.arrays(np.uint8, (2, 3, 4, 4))
FLOATS = arrays.arrays(np.float32, (2, 3, 4, 4), elements=st.floats(0, 1, width=32))


@given(CLEAN, FLOATS)
def test_rounding_never_leaves_the_box_between_clean_and_float(
    clean: np.ndarray, x: np.ndarray
) -> None:
    rounded = toward(x, clean).astype(np.float64)
    levels = x.astype(np.float64) * 255
    low, high = np.minimum(levels, clean), np.maximum(levels, clean)
    assert (rounded >= low - 2e-3).all()
    assert (rounded <= high + 2e-3).all()
    assert np.abs(rounded - levels).max() < 1


@given(CLEAN, CLEAN)
def test_pictures_stay_what_they_are(clean: np.ndarray, other: np.ndarray) -> None:
    assert np.array_equal(toward(to_float(other), clean), other)
    assert np.array_equal(on_lattice(to_float(other)), other)


def test_float32_sums_that_mean_a_level_are_that_level() -> None:
    clean = np.arange(248, dtype=np.uint8).reshape(1, 1, 8, 31)
    moved = to_float(clean) + np.float32(8 / 255)
    assert np.array_equal(toward(np.clip(moved, 0, 1), clean), clean + 8)


def test_half_levels_go_back_to_the_clean_picture() -> None:
    clean = np.full((1, 1, 1, 3), 100, np.uint8)
    x = np.array([100.9, 99.1, 101.5], np.float32).reshape(clean.shape) / 255
    assert toward(x, clean).ravel().tolist() == [100, 100, 101]


def test_floats_between_levels_are_refused() -> None:
    with pytest.raises(ImageError, match="to_uint8"):
        on_lattice(np.full((1, 1, 2, 2), 0.5, np.float32))


@pytest.mark.parametrize(
    ("eps", "levels"), [(0.007, 1), (8 / 255, 8), (0.25, 63), (0.3, 76), (0.003, 0), (1 / 255, 1)]
)
def test_effective_eps(eps: float, levels: int) -> None:
    assert effective_eps(eps, "linf") == levels / 255
    assert effective_eps(eps, "l2") == eps


def test_norms_by_hand() -> None:
    clean = np.zeros((1, 3, 2, 2), np.uint8)
    other = clean.copy()
    other[0, :, 0, 0] = (51, 0, 0)
    other[0, :, 1, 1] = (51, 51, 102)
    found = norms(clean, other)
    assert found.l0.tolist() == [2]  # a pixel counts once
    assert found.l2 == pytest.approx([np.sqrt(0.04 * 3 + 0.16)])
    assert found.linf == pytest.approx([0.4])
    floats = norms(to_float(clean), to_float(other))
    assert floats.l2 == pytest.approx(found.l2)


@given(FLOATS, FLOATS, st.floats(1 / 255, 2))
def test_projection(x: np.ndarray, center: np.ndarray, eps: float) -> None:
    for norm in ("linf", "l2"):
        found = project(x, center, eps, norm)  # type: ignore[arg-type]
        assert found.min() >= 0
        assert found.max() <= 1
        size = getattr(norms(center, found), norm)
        assert (size <= eps * (1 + 1e-5) + 1e-6).all()
        inside = getattr(norms(center, x), norm) <= eps
        assert found[inside] == pytest.approx(x[inside], abs=1e-6)
