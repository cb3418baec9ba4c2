"""Counter-based randomness: a draw depends on (seed, stream, two counters) and no history.

So results do not depend on how many workers there are, on batches or on having been interrupted,
and any ancestor can be made again from its parents alone.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Stream(IntEnum):
    """What a generator is for. Numbers are part of every archive digest: never reuse one."""

    SAMPLE = 1
    SELECT = 2
    MATE = 3
    MUTATE = 4
    DEAP = 5
    ATTACK = 6
    NOISE = 7
    TARGET = 8
    CHOICE = 9
    BOOTSTRAP = 10


class _Key(np.random.bit_generator.ISeedSequence):
    """The Philox key itself. ``Philox(key=...)`` takes the same, after drawing entropy from the
    system that it then does not use: three quarters of the cost of a generator."""

    def __init__(self, seed: int, stream: Stream) -> None:
        self._words = np.array([seed, stream], dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[np.uint64]:
        return self._words


def generator(seed: int, stream: Stream, outer: int, inner: int) -> np.random.Generator:
    """A Philox generator keyed by (seed, stream), its counter starting at (outer, inner).

    Evolution counts (generation, child), an attack (image, draw).
    """
    counter = np.array([0, inner, outer, 0], dtype=np.uint64)
    bits = np.random.Philox(_Key(seed, stream), counter=counter)  # type: ignore[arg-type]
    return np.random.Generator(bits)


@contextlib.contextmanager
def seeded_globals(rng: np.random.Generator) -> Iterator[None]:
    """Python's and NumPy's global generators seeded from `rng`, and restored afterwards.

    For code of others that draws from these two and offers no other way.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002
    words = rng.integers(0, 2**32, 8, dtype=np.uint32)
    random.seed(int.from_bytes(words.tobytes(), "little"))
    np.random.seed(words)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
