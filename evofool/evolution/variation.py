"""Variation: what makes individuals from (seed, generation, child) and their parents alone.

So an ancestor can be bred again from its parents, and a generation that was interrupted comes out
the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deap import base

from evofool.evolution.archive import Parents
from evofool.evolution.individual import Individual
from evofool.evolution.randomness import Stream, generator
from evofool.store import IndividualId


def sample(
    toolbox: base.Toolbox, seed: int, count: int, generation: int = 0
) -> Iterator[Individual]:
    """Random individuals: number i draws from (seed, SAMPLE, generation, i)."""
    for i in range(count):
        genome = toolbox.sample(generator(seed, Stream.SAMPLE, generation, i))
        yield Individual(genome, IndividualId(generation, i))


def breed(
    toolbox: base.Toolbox, seed: int, generation: int, parents: Parents, children: int
) -> Iterator[Individual]:
    """The children of a generation, which depend on (seed, generation) and `parents` alone.

    They come in pairs: two parents are selected and crossed, and both children are mutated.
    """
    for pair in range((children + 1) // 2):
        rng = generator(seed, Stream.SELECT, generation, pair)
        first, first_cell = toolbox.select(parents, rng)
        second, second_cell = toolbox.select(parents, rng)
        genomes = cross(toolbox, seed, generation, pair, first.genome, second.genome)
        for side, genome in enumerate(genomes):
            child = 2 * pair + side
            if child == children:
                return
            of = slice(None)
            if genome is (first, second)[side].genome:  # no crossover took place
                of = slice(side, side + 1)
            yield Individual(
                mutate(toolbox, seed, generation, child, genome),
                IndividualId(generation, child),
                (first.id, second.id)[of],
                (first_cell, second_cell)[of],
            )


def cross(
    toolbox: base.Toolbox, seed: int, generation: int, pair: int, first: Any, second: Any
) -> tuple[Any, Any]:
    """Pair `pair` of a generation, crossed: what a replayed ancestor goes through again."""
    one, two = toolbox.mate(first, second, generator(seed, Stream.MATE, generation, pair))
    return one, two


def mutate(toolbox: base.Toolbox, seed: int, generation: int, child: int, genome: Any) -> Any:
    """Child `child` of a generation, mutated."""
    return toolbox.mutate(genome, generator(seed, Stream.MUTATE, generation, child), generation)
