"""Tests of one method against another, held against values worked out by hand or published."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evofool.experiments.compare.likeness import likeness
from evofool.experiments.compare.paired import (
    exact_mcnemar,
    holm,
    least_p,
    mann_whitney,
    signed_ranks,
)


def test_signed_ranks() -> None:
    p, effect = signed_ranks(np.arange(1.0, 11.0))
    assert (p, effect) == (pytest.approx(2 / 2**10), 1)
    assert least_p(10, 1) == pytest.approx(p)
    assert least_p(10, 105) == pytest.approx(105 * p)
    # ranks 1, 2, 3 of which the 3 is against: (1 + 2 - 3) / 6
    assert signed_ranks(np.array([1.0, 2.0, -3.0, 0.0]))[1] == 0
    assert signed_ranks(np.zeros(4)) == (1.0, 0.0)


def test_mcnemar_is_the_binomial_test_of_the_pairs_that_differ() -> None:
    assert exact_mcnemar(0, 0) == 1
    assert exact_mcnemar(5, 0) == pytest.approx(2 / 2**5)
    assert exact_mcnemar(3, 3) == 1


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_mann_whitney_counts_who_is_surer_than_whom() -> None:
    first, second = np.array([1.0, 4.0, 6.0, 9.0]), np.array([2.0, 3.0, 5.0])
    p, delta = mann_whitney(first, second)
    wins = sum(np.sign(a - b) for a in first for b in second)
    assert delta == pytest.approx(wins / 12)
    # every way to draw four of seven ranks, and how many are as far from the middle
    sums = [sum(drawn) for drawn in itertools.combinations(range(1, 8), 4)]
    far = abs(1 + 4 + 6 + 7 - 16)
    assert p == pytest.approx(np.mean([abs(each - 16) >= far for each in sums]))
    assert mann_whitney(first + 10, second) == (pytest.approx(2 / 35), 1)
    assert mann_whitney(second, first + 10)[1] == -1


def test_what_pictures_are_like() -> None:
    rng = np.random.default_rng(0)
    noise = likeness(rng.integers(0, 256, (1, 64, 64), dtype=np.uint8))
    assert noise.variation == pytest.approx(1 / 3, abs=0.01)
    assert noise.slope == pytest.approx(0, abs=0.3)
    flat = likeness(np.full((3, 16, 16), 9, np.uint8))
    assert (flat.variation, flat.edges, flat.colours) == (0, 0, 1)
    assert np.isnan(flat.slope)
    ramp = likeness(np.tile(np.arange(64, dtype=np.uint8), (1, 64, 1)))
    assert ramp.slope < -1.5
    assert (ramp.colours, ramp.edges) == (64, 0)
    assert ramp.png < noise.png
