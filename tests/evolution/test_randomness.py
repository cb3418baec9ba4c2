"""Counter-based generators."""

from __future__ import annotations

import random

import numpy as np

from evofool.evolution.randomness import Stream, generator, seeded_globals


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


def test_global_generators_are_seeded_and_given_back() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    with seeded_globals(1, 7):
        inside = random.random(), np.random.random()  # noqa: NPY002
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002
    with seeded_globals(1, 7):
        assert (random.random(), np.random.random()) == inside  # noqa: NPY002
    with seeded_globals(1, 8):
        assert (random.random(), np.random.random()) != inside  # noqa: NPY002
