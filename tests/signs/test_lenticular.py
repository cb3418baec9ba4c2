"""Lenticular signs: strips, lenses, and which of two pictures an angle shows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from evofool.classifiers import from_predict
from evofool.errors import ImageError, UsageError
from evofool.images import to_uint8
from evofool.signs.camera import Camera
from evofool.signs.drive import Aim, drive
from evofool.signs.footage import Approach, Footage
from evofool.signs.lenticular import Lenses, glances, lenticular_sign

LENSES = Lenses(count=32)
RED, BLUE = (
    np.stack([np.full((32, 32), level, np.uint8) for level in colour])
    for colour in ((250, 10, 10), (10, 10, 250))
)


def colours(images: np.ndarray) -> np.ndarray:
    """How much of each colour a picture has."""
    means = images.reshape(len(images), 3, -1).mean(2)
    return np.exp(means / 32) / np.exp(means / 32).sum(1, keepdims=True)


@pytest.fixture
def victim() -> Any:
    return from_predict(colours, labels=("red", "green", "blue"), input_shape=(3, 8, 8))


def test_each_side_shows_its_picture() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 256, (2, 3, 32, 32), np.uint8)
    printed = LENSES.interlaced(first, second)
    assert printed.shape == (3, 32, 32 * 8)
    np.testing.assert_array_equal(printed[..., 0::8], first)
    np.testing.assert_array_equal(printed[..., 7::8], second)
    np.testing.assert_array_equal(LENSES.seen(printed, 5.0)[..., ::8], first)
    np.testing.assert_array_equal(LENSES.seen(printed, 25.0)[..., ::8], second)
    both = (first.astype(float) + second) / 2
    assert np.abs(LENSES.seen(printed, LENSES.switch)[..., ::8] - both).max() <= 1


def test_the_second_picture_comes_in_and_goes_again() -> None:
    angles = np.linspace(-5, 34, 79)
    shares = [LENSES.second(float(angle)) for angle in angles]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(shares))
    assert LENSES.second(LENSES.switch) == pytest.approx(0.5)
    assert LENSES.second(50) < 0.5  # the next lens
    sharp, soft = Lenses(spot=0.02), Lenses(spot=0.6)
    assert sharp.second(17) == pytest.approx(1)
    assert 0.5 < soft.second(17) < 0.9


def test_half_the_opening_is_a_quarter_turn_of_the_lens() -> None:
    """By hand: a pitch that 49 degrees of opening and n = 1.56 fill."""
    lenses = Lenses(switch=0)
    inside = np.arcsin(np.sin(np.deg2rad([10, 24.5])) / 1.56)
    reach = 0.5 * np.tan(inside[0]) / np.tan(inside[1])
    assert lenses.focus(10) == pytest.approx(0.5 + reach)
    assert lenses.focus(-10) == pytest.approx(0.5 - reach)


def test_one_sign_is_read_two_ways(victim: Any, make_scorer: Callable[..., Any]) -> None:
    scorer = make_scorer(victim)
    sign = lenticular_sign(RED, BLUE, LENSES)
    curve = glances(scorer, sign, (0, 2), LENSES, [0.0, 5.0, 25.0, 30.0])
    assert [glance.read for glance in curve] == [0, 0, 2, 2]
    assert [round(glance.share) for glance in curve] == [0, 0, 1, 1]
    assert all(glance.first is not None and glance.second is not None for glance in curve)
    assert scorer.queries == 4
    camera = Camera(320, 180, 300.0)
    film = Footage(sign, Approach(frames=12, far=30.0, turned=15), 0, camera)
    one = drive(scorer, film, Aim(target=2, true=0))
    for sight in one.sights:
        if abs(sight.angle - LENSES.switch) > 6:
            assert sight.fooled == (sight.angle > LENSES.switch)
    assert 0 < one.fooled < 12


def test_the_sign_keeps_its_shape() -> None:
    sign = lenticular_sign(RED, BLUE, LENSES, "disc")
    for angle in (0.0, 30.0):
        outside = to_uint8(sign.seen(angle))[:, sign.opacity == 0]
        assert outside.size
        assert not outside.any()


def test_what_cannot_be_interlaced() -> None:
    with pytest.raises(ImageError, match="they need the same size"):
        LENSES.interlaced(RED, BLUE[:, :16])
    with pytest.raises(ImageError, match="does not fit 32 lenses"):
        LENSES.seen(RED, 3)
    with pytest.raises(UsageError, match="64, not 3"):
        Lenses(columns=3)
    with pytest.raises(UsageError, match="switch of lenses"):
        Lenses(switch=float("nan"))
