"""Counter-based randomness: a draw depends on (seed, stream, two counters) and no history.

So results do not depend on how many workers there are, on batches or on having been interrupted,
and any ancestor can be made again from its parents alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from types import FunctionType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")


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
    REFINE = 11
    TRANSFORM = 20
    HELD_BACK = 21
    SCENE = 30


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


class Generators:
    """The generators of several `inner` counters, each of which is made when it is asked for.

    Batch operators take them. To draw from many at once costs less than to make them one by one
    (`evofool.operators.streams`), and gives the same numbers.

    Args:
        seed, stream, outer: as of `generator`.
        inner: (N,) counters.

    Attributes:
        inner: (N,) uint64.
    """

    def __init__(self, seed: int, stream: Stream, outer: int, inner: ArrayLike) -> None:
        self.seed = seed
        self.stream = stream
        self.outer = outer
        self.inner: NDArray[np.uint64] = np.asarray(inner, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, row: int) -> np.random.Generator:
        """Generator `row`, at its beginning; raises ``IndexError`` if there is none."""
        return generator(self.seed, self.stream, self.outer, int(self.inner[row]))

    def __iter__(self) -> Iterator[np.random.Generator]:
        return (self[row] for row in range(len(self)))

    def part(self, rows: slice) -> Generators:
        """Those of some rows."""
        return Generators(self.seed, self.stream, self.outer, self.inner[rows])


@dataclass(frozen=True)
class Draws:
    """What code of others draws from in place of Python's and NumPy's global generators.

    Attributes:
        python: for the names of the module ``random``.
        numpy: for the names of ``numpy.random``.
    """

    python: random.Random
    numpy: np.random.RandomState


def private_draws(rng: np.random.Generator) -> Draws:
    """The two streams that the global generators would give if they were seeded from `rng`.

    The global generators are neither read nor written, so whatever other threads do with them
    meanwhile neither shows in these streams nor is disturbed.
    """
    words = rng.integers(0, 2**32, 8, dtype=np.uint32)
    python = random.Random(int.from_bytes(words.tobytes(), "little"))
    return Draws(python, np.random.RandomState(words))


class PrivateNumPy:
    """Stands for the module ``numpy`` in code of others: all of it, with `draws` as ``random``."""

    def __init__(self, draws: np.random.RandomState) -> None:
        self.random = draws

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def rebound(function: Callable[..., T], **names: object) -> Callable[..., T]:
    """A copy of a Python function of others in which global `names` mean something else.

    The function itself, its module and everybody else who calls it are left alone.
    """
    assert isinstance(function, FunctionType)
    copy = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
