"""Intervals of shares."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evofool.attacks.runs.statistics import share, wilson


def test_a_known_interval() -> None:
    low, high = wilson(8, 10)
    assert (low, high) == pytest.approx((0.49016, 0.94332), abs=1e-5)


@given(st.integers(1, 500), st.data())
def test_bounds_solve_the_equation_they_come_from(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    for bound in wilson(hits, n, 2.0):
        if 0 < bound < 1:  # |p - bound| is z standard errors of the bound
            gap = abs(hits / n - bound)
            assert gap == pytest.approx(2 * math.sqrt(bound * (1 - bound) / n), abs=1e-9)
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1


def test_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0, 1)
    assert share(0, 0)["rate"] is None
    with pytest.raises(ValueError, match="not a share"):
        wilson(3, 2)
