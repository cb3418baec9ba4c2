"""Counter-based generators."""

from __future__ import annotations

import random

import numpy as np

from evofool.evolution.randomness import Stream, draws_for_deap, generator
from evofool.randomness import rebound


def test_generators_depend_on_their_key_alone() -> None:
    keys = [
        (seed, stream, g, i)
        for seed in (0, 1, 2**63 - 1)
        for stream in Stream
        for g in (0, 1, 5000)
        for i in (0, 1, 399)
    ]
    first = {key: generator(*key).integers(0, 2**63, 4).tobytes() for key in keys}
    assert len(set(first.values())) == len(keys)
    assert all(generator(*key).integers(0, 2**63, 4).tobytes() == first[key] for key in keys)


def test_it_is_the_philox_of_that_key_and_counter() -> None:
    for seed, stream, g, i in [(0, Stream.SAMPLE, 0, 0), (2**63 - 1, Stream.MATE, 7, 2**40)]:
        key = np.array([seed, stream], dtype=np.uint64)
        counter = np.array([0, i, g, 0], dtype=np.uint64)
        plain = np.random.Generator(np.random.Philox(key=key, counter=counter))
        assert generator(seed, stream, g, i).random(9).tolist() == plain.random(9).tolist()


def test_golden_stream() -> None:
    """Every archive digest rests on these numbers: they must never change."""
    drawn = generator(1, Stream.MUTATE, 2, 3).integers(0, 1000, 5).tolist()
    assert drawn == [152, 803, 518, 508, 456]


def test_private_draws_are_those_of_seeded_global_generators() -> None:
    """The numbers that runs of earlier versions drew, without touching what belongs to others."""
    words = generator(1, Stream.DEAP, 7, 0).integers(0, 2**32, 8, dtype=np.uint32)
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(int.from_bytes(words.tobytes(), "little"))
    np.random.seed(words)  # noqa: NPY002
    expected = random.random(), random.sample(range(9), 3), np.random.standard_normal(3)  # noqa: NPY002
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002

    draws = draws_for_deap(1, 7)
    assert draws.python.random() == expected[0]
    assert draws.python.sample(range(9), 3) == expected[1]
    assert (draws.numpy.standard_normal(3) == expected[2]).all()
    assert draws_for_deap(1, 8).python.random() != expected[0]
    assert random.getstate() == python
    assert (np.random.get_state()[1] == numpy[1]).all()  # noqa: NPY002


def _dice(count: int, *, sides: int = 6) -> list[int]:
    return [random.randrange(sides) for _ in range(count)]


def test_a_rebound_function_leaves_the_original_alone() -> None:
    own = rebound(_dice, random=random.Random(5))
    expected = random.Random(5)
    state = random.getstate()
    assert own(4, sides=3) == [expected.randrange(3) for _ in range(4)]
    assert own(2) == [expected.randrange(6) for _ in range(2)]
    assert random.getstate() == state
    _dice(1)
    assert random.getstate() != state
