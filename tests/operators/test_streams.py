"""Many generators at once draw what each of them alone would draw."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evofool.operators.streams import Compiled, OneByOne, kernels, streams_of
from evofool.randomness import Generators, Stream

COMPILED = pytest.mark.skipif(kernels() is None, reason="numba is not installed")


def both(
    seed: int = 5, outer: int = 3, inner: list[int] | None = None
) -> tuple[Compiled, OneByOne]:
    generators = Generators(
        seed, Stream.MUTATE, outer, [0, 1, 2, 9, 10**6] if inner is None else inner
    )
    drawing = streams_of(generators)
    assert isinstance(drawing, Compiled)
    return drawing, OneByOne(list(generators))


def assert_equal(one: np.ndarray, other: np.ndarray) -> None:  # type: ignore[type-arg]
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert one.tobytes() == other.tobytes()


@COMPILED
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    outer=st.integers(0, 2**40),
    inner=st.lists(st.integers(0, 2**40), max_size=4),
    calls=st.lists(st.sampled_from(["random", "integers", "mutations", "crossovers"]), max_size=6),
    size=st.integers(1, 40),
)
def test_compiled_they_draw_what_numpy_draws(
    seed: int, outer: int, inner: list[int], calls: list[str], size: int
) -> None:
    """In any order of calls: halves of words that one call leaves are drawn by the next."""
    one, other = both(seed, outer, inner)
    for call in calls:
        if call == "random":
            assert_equal(one.random(), other.random())
        elif call == "integers":
            assert_equal(one.integers(size, 3), other.integers(size, 3))
        elif call == "mutations":
            ends = np.arange(len(inner) + 1, dtype=np.int64) * size
            for a, b in zip(one.mutations(ends, 0.3), other.mutations(ends, 0.3), strict=True):
                assert_equal(a, b)
        else:
            for a, b in zip(one.crossovers(size), other.crossovers(size), strict=True):
                assert_equal(a, b)


@COMPILED
@pytest.mark.parametrize("below", [1, 2, 3, 1000, 2**31 + 1, 2**32 - 1])
def test_integers_of_any_range(below: int) -> None:
    """A range just above half of 2^32 draws every second number again."""
    one, other = both()
    assert_equal(one.integers(below, 50), other.integers(below, 50))


@COMPILED
@pytest.mark.parametrize("rate", [0.0, 1 / 64, 0.1, 1.0])
def test_rows_of_any_length_mutate(rate: float) -> None:
    one, other = both()
    ends = np.array([0, 0, 1, 4, 500, 501], dtype=np.int64)
    for a, b in zip(one.mutations(ends, rate), other.mutations(ends, rate), strict=True):
        assert_equal(a, b)
    assert_equal(one.random(), other.random())


@COMPILED
def test_some_of_them_go_on_from_where_they_are() -> None:
    one, other = both()
    one.crossovers(3), other.crossovers(3)
    rows = np.array([3, 0])
    assert_equal(one.only(rows).random(), other.only(rows).random())


def test_a_generator_of_a_batch_is_that_of_its_counter() -> None:
    generators = Generators(7, Stream.MATE, 4, [3, 8])
    assert len(generators) == 2
    first = [rng.random() for rng in generators]
    assert first == [generators[0].random(), generators[1].random()]
    assert generators.part(slice(1, None))[0].random() == first[1]
    with pytest.raises(IndexError):
        generators[2]


def test_numba_is_imported_by_the_first_draw_only() -> None:
    code = "import sys, evofool.operators.graphs; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_numba_they_are_drawn_one_by_one() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from evofool.operators.streams import OneByOne, streams_of\n"
        "from evofool.randomness import Generators, Stream\n"
        "drawing = streams_of(Generators(1, Stream.MATE, 2, [3]))\n"
        "assert isinstance(drawing, OneByOne); print(drawing.random()[0].hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    wanted = Generators(1, Stream.MATE, 2, [3])[0].random()
    assert done.stdout.strip() == wanted.hex()
