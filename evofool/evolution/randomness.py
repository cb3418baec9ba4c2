"""DEAP's randomness: the global generators, seeded for one generation and restored."""

from __future__ import annotations

import contextlib

from evofool import randomness
from evofool.randomness import Stream, generator

__all__ = ["Stream", "generator", "seeded_globals"]


def seeded_globals(seed: int, generation: int) -> contextlib.AbstractContextManager[None]:
    """Seed Python's and NumPy's global generators for one generation of DEAP, then restore them.

    DEAP's algorithms and its CMA-ES draw from these two and offer no other way.
    """
    return randomness.seeded_globals(generator(seed, Stream.DEAP, generation, 0))
