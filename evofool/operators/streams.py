"""Drawing from many generators at once: compiled where numba is, else one after the other.

Both ways draw the same numbers in the same order.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.randomness import Generators

Places: TypeAlias = NDArray[np.int64]
"""int64 (K,), indices of genes."""


class Streams(Protocol):
    """N generators; a call draws from each of them what its own next calls would give."""

    def random(self) -> NDArray[np.float64]:
        """One number on [0, 1) from each: (N,)."""
        ...

    def integers(self, below: int, count: int) -> NDArray[np.int64]:
        """`count` integers from 0 to `below` - 1 from each: N x count."""
        ...

    def mutations(self, ends: NDArray[np.int64], rate: float) -> tuple[Places, NDArray[np.float64]]:
        """The places of the genes that change, and a number on [0, 1) for each, both (K,).

        Args:
            ends: (N + 1,): generator n decides on the genes ``ends[n]`` to ``ends[n + 1]``, with a
                number for each.
            rate: probability of a gene to change.
        """
        ...

    def crossovers(self, genes: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A number on [0, 1) for each of `genes` genes and then a fair coin, both N x genes."""
        ...

    def only(self, rows: NDArray[np.intp]) -> Streams:
        """Those of `rows` (R,), which go on from where they are; these here are not used on."""
        ...


def streams_of(generators: Generators) -> Streams:
    """`generators`, to be drawn from at once."""
    compiled = kernels()
    return OneByOne(list(generators)) if compiled is None else Compiled.begun(generators, compiled)


@cache
def kernels() -> Any | None:
    """The module `evofool.operators.kernels`, None where there is no numba."""
    try:
        import evofool.operators.kernels as module
    except ImportError:
        return None
    return module


class OneByOne:
    """`Streams` by NumPy's own generators."""

    def __init__(self, generators: list[np.random.Generator]) -> None:
        self._generators = generators

    def random(self) -> NDArray[np.float64]:
        """As `Streams.random`: (N,)."""
        return np.array([rng.random() for rng in self._generators], dtype=np.float64)

    def integers(self, below: int, count: int) -> NDArray[np.int64]:
        """As `Streams.integers`: N x count."""
        drawn = [[int(rng.integers(below)) for _ in range(count)] for rng in self._generators]
        return np.array(drawn, dtype=np.int64).reshape(-1, count)

    def mutations(self, ends: NDArray[np.int64], rate: float) -> tuple[Places, NDArray[np.float64]]:
        """As `Streams.mutations`: of `ends` (N + 1,), two arrays (K,)."""
        places, us = [np.empty(0, np.int64)], [np.empty(0)]
        for rng, start, end in zip(
            self._generators, ends[:-1].tolist(), ends[1:].tolist(), strict=True
        ):
            found = np.flatnonzero(rng.random(end - start, dtype=np.float32) < rate)
            places.append(found + start)
            us.append(rng.random(len(found)))
        return np.concatenate(places), np.concatenate(us)

    def crossovers(self, genes: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """As `Streams.crossovers`: two arrays N x genes."""
        u = np.empty((len(self._generators), genes), dtype=np.float32)
        swap = np.empty(u.shape, dtype=np.bool_)
        for n, rng in enumerate(self._generators):
            u[n] = rng.random(genes, dtype=np.float32)
            swap[n] = rng.integers(0, 2, size=genes, dtype=np.uint8)
        return u, swap

    def only(self, rows: NDArray[np.intp]) -> OneByOne:
        """As `Streams.only`, of `rows` (R,)."""
        return OneByOne([self._generators[row] for row in rows.tolist()])


class Compiled:
    """`Streams` by the kernels of numba.

    Args:
        states: uint64 N x 13, where each generator is; drawing writes them.
        compiled: the module of the kernels.

    Attributes:
        states: uint64 N x 13, the same.
    """

    def __init__(self, states: NDArray[np.uint64], compiled: ModuleType) -> None:
        self.states = states
        self._kernels: Any = compiled

    @classmethod
    def begun(cls, generators: Generators, compiled: Any) -> Compiled:
        """`generators` at their beginning."""
        states = np.empty((len(generators), compiled.STATE), dtype=np.uint64)
        compiled.begin(
            np.uint64(generators.seed),
            np.uint64(generators.stream),
            np.uint64(generators.outer),
            generators.inner,
            states,
        )
        return cls(states, compiled)

    def random(self) -> NDArray[np.float64]:
        """As `Streams.random`: (N,)."""
        drawn = np.empty(len(self.states))
        self._kernels.doubles(self.states, drawn)
        return drawn

    def integers(self, below: int, count: int) -> NDArray[np.int64]:
        """As `Streams.integers`: N x count."""
        drawn = np.empty((len(self.states), count), dtype=np.int64)
        self._kernels.integers(self.states, np.uint64(below), drawn)
        return drawn

    def mutations(self, ends: NDArray[np.int64], rate: float) -> tuple[Places, NDArray[np.float64]]:
        """As `Streams.mutations`: of `ends` (N + 1,), two arrays (K,)."""
        places, us = np.empty(ends[-1] + 1, dtype=np.int64), np.empty(ends[-1])
        found = self._kernels.mutations(self.states, ends, np.float32(rate), places, us)
        return places[:found], us[:found]

    def crossovers(self, genes: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """As `Streams.crossovers`: two arrays N x genes."""
        u = np.empty((len(self.states), genes), dtype=np.float32)
        swap = np.empty(u.shape, dtype=np.bool_)
        self._kernels.crossovers(self.states, u, swap)
        return u, swap

    def only(self, rows: NDArray[np.intp]) -> Compiled:
        """As `Streams.only`, of `rows` (R,)."""
        return Compiled(self.states[rows], self._kernels)
