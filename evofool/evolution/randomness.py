"""Counter-based randomness: what a child is depends on (seed, generation, child) and no history.

So results do not depend on how many workers there are or on having been interrupted, and any
ancestor can be made again from its parents alone.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a generator is for. Numbers are part of every archive digest: never reuse one."""

    SAMPLE = 1
    SELECT = 2
    MATE = 3
    MUTATE = 4
    DEAP = 5


def generator(seed: int, stream: Stream, generation: int, index: int) -> np.random.Generator:
    """A Philox generator keyed by (seed, stream), its counter starting at (generation, index)."""
    key = np.array([seed, stream], dtype=np.uint64)
    counter = np.array([0, index, generation, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


@contextlib.contextmanager
def seeded_globals(seed: int, generation: int) -> Iterator[None]:
    """Seed Python's and NumPy's global generators for one generation of DEAP, then restore them.

    DEAP's algorithms and its CMA-ES draw from these two and offer no other way.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002
    words = generator(seed, Stream.DEAP, generation, 0).integers(0, 2**32, 8, dtype=np.uint32)
    random.seed(int.from_bytes(words.tobytes(), "little"))
    np.random.seed(words)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
