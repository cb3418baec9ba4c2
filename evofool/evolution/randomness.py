"""DEAP's randomness: generators of its own for each generation, in place of the global ones."""

from __future__ import annotations

from evofool.randomness import Draws, Stream, generator, private_draws

__all__ = ["Draws", "Stream", "draws_for_deap", "generator"]


def draws_for_deap(seed: int, generation: int) -> Draws:
    """What DEAP draws from in one generation.

    DEAP's algorithms and its CMA-ES name ``random`` and ``numpy.random`` and take no generator, so
    they are called with these names bound to what is given here (`evofool.randomness.rebound`).
    """
    return private_draws(generator(seed, Stream.DEAP, generation, 0))
