"""JSMA's best pair against all pairs multiplied out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import evofool.attacks.gradient.pairs
from evofool.attacks.gradient.pairs import best_pair

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
Draw = Callable[[np.random.Generator, int], Points]


def gaussian(rng: np.random.Generator, n: int) -> Points:
    return rng.normal(size=n), rng.normal(size=n)


def with_ties(rng: np.random.Generator, n: int) -> Points:
    return rng.integers(-3, 4, n).astype(float), rng.integers(-3, 4, n).astype(float)


def falling(rng: np.random.Generator, n: int) -> Points:
    """All on one front, or nearly."""
    a = rng.normal(size=n)
    return a, rng.normal() - a + rng.choice([0.0, 0.1]) * rng.normal(size=n)


def circle(rng: np.random.Generator, n: int) -> Points:
    """All on one front that bends outwards, with ends in the second and fourth quadrants."""
    angle = rng.uniform(-0.5, np.pi / 2 + 0.5, n)
    return np.cos(angle), np.sin(angle)


def one_good(rng: np.random.Generator, n: int) -> Points:
    """A single point can lift the others out of the negative quadrant."""
    a, b = rng.uniform(-3, 0, n), rng.uniform(-3, 0, n)
    a[0] = b[0] = rng.uniform(0, 5)
    return a, b


def all_products(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    across, down = a[:, None] + a, b[:, None] + b
    good = (across > 0) & (down > 0) & ~np.eye(len(a), dtype=np.bool_)
    return np.where(good, across * down, 0.0)


@pytest.mark.parametrize("draw", [gaussian, with_ties, falling, circle, one_good])
@pytest.mark.parametrize("small", [1, 3, 512])
def test_is_the_best_of_all_pairs(draw: Draw, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evofool.attacks.gradient.pairs, "SMALL", small)
    rng = np.random.default_rng(small)
    some = 0
    for _ in range(300):
        a, b = draw(rng, int(rng.integers(2, 40)))
        products = all_products(a, b)
        pair = best_pair(a, b)
        if products.max() == 0:
            assert pair is None
        else:
            assert pair is not None
            assert products[pair] == pytest.approx(products.max(), rel=1e-12)
            some += 1
    assert some > 100


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_points_make_no_pair(n: int) -> None:
    assert best_pair(np.ones(n), np.ones(n)) is None


def test_two_negative_sums_are_no_pair_for_all_their_positive_product() -> None:
    assert best_pair(np.array([-5.0, -4.0]), np.array([-5.0, -4.0])) is None


@pytest.mark.parametrize("draw", [gaussian, circle])
def test_needs_no_square_of_the_features(draw: Draw) -> None:
    n = 150_528
    a, b = draw(np.random.default_rng(0), n)
    tracemalloc.start()
    pair = best_pair(a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20
    assert pair is not None
    i, j = pair
    found = (a[i] + a[j]) * (b[i] + b[j])
    rng = np.random.default_rng(1)
    for p in rng.integers(0, n, 50).tolist():  # no row of the products that are never built wins
        across, down = a + a[p], b + b[p]
        across[p] = 0.0
        assert (across * down)[(across > 0) & (down > 0)].max(initial=0.0) <= found * (1 + 1e-12)
