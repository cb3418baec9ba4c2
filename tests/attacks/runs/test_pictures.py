"""Perturbations for the eye, and the slide."""

from __future__ import annotations

import numpy as np
import pytest

from evofool.attacks.runs.pictures import Side, amplified, equation

RNG = np.random.default_rng(3)


def test_amplified_is_around_grey_and_as_strong_as_it_can_be() -> None:
    clean = np.full((1, 2, 2), 100, np.uint8)
    other = np.array([[[100, 104], [96, 98]]], np.uint8)
    shown, factor = amplified(clean, other)
    assert factor == 127 / 4
    assert shown.tolist() == [[[128, 255], [1, 64]]]
    shown, factor = amplified(clean, clean)
    assert (shown == 128).all()
    assert factor == 1


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 224, 224), (3, 20, 700)])
def test_a_slide_of_any_picture(shape: tuple[int, int, int]) -> None:
    clean = RNG.integers(0, 256, shape, dtype=np.uint8)
    other = np.clip(clean.astype(int) + RNG.choice([-9, 9], shape), 0, 255).astype(np.uint8)
    found = equation(clean, other, Side("a, b", 0.5), Side("c", None), title="fgsm", eps=9 / 255)
    assert found.dtype == np.uint8
    assert found.shape[0] == 3
    assert found.shape[2] > 2 * found.shape[1]


def test_signs_are_shown_only_where_they_make_the_picture() -> None:
    clean = np.full((1, 8, 8), 100, np.uint8)
    step = clean.copy()
    step[0, :4] += 9
    smaller = step.copy()
    smaller[0, 0, 0] -= 1  # no longer clean + eps x sign
    sides = Side("a", 0.9), Side("b", 0.9)
    one = equation(clean, step, *sides, title="t", eps=9 / 255)
    without = equation(clean, step, *sides, title="t")
    other = equation(clean, smaller, *sides, title="t", eps=9 / 255)
    assert (one != without).any()
    # the middle third of a step by signs is white above, that of any other step is not
    middle = slice(one.shape[2] // 2 - 20, one.shape[2] // 2 + 20)
    assert (one[:, 300, middle] == 255).all()
    assert one.shape == other.shape


@pytest.mark.parametrize(
    "label", ["x" * 500, "</script><b>", "\x1b[2J\u202eevil", "größe", "日本語", ",", " "]
)
def test_hostile_labels(label: str) -> None:
    clean = np.zeros((1, 4, 4), np.uint8)
    equation(clean, clean, Side(label, 1.0), Side(label, 0.0), title=label)
