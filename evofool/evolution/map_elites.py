"""MAP-Elites over classes, and the variation that makes a child from its parents alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deap import base

from evofool.config import EvolutionConfig
from evofool.evolution.individual import Individual
from evofool.evolution.randomness import Stream, generator
from evofool.store import IndividualId


def sample(toolbox: base.Toolbox, seed: int, count: int) -> Iterator[Individual]:
    """The initial population: individual i draws from (seed, SAMPLE, 0, i)."""
    for i in range(count):
        yield Individual(toolbox.sample(generator(seed, Stream.SAMPLE, 0, i)), IndividualId(0, i))


class MapElites:
    """One champion a class (Mouret and Clune 2015; Nguyen et al. 2015).

    Children come in pairs: two parents drawn uniformly over filled cells, crossed, both mutated;
    all are evaluated before any is inserted.
    """

    def __init__(self, config: EvolutionConfig, seed: int, toolbox: base.Toolbox) -> None:
        self._config = config
        self._seed = seed
        self._toolbox = toolbox

    def start(self) -> None:
        self._toolbox.evaluate(sample(self._toolbox, self._seed, self._config.initial))

    def step(self, generation: int) -> list[Individual]:
        self._toolbox.evaluate(self._breed(generation))
        return []

    def state(self) -> dict[str, bytes]:
        return {}

    def restore(self, state: dict[str, bytes]) -> None:
        return

    def _breed(self, generation: int) -> Iterator[Individual]:
        toolbox, seed = self._toolbox, self._seed
        for pair in range((self._config.children + 1) // 2):
            rng = generator(seed, Stream.SELECT, generation, pair)
            first, first_cell = toolbox.select(rng)
            second, second_cell = toolbox.select(rng)
            genomes = cross(toolbox, seed, generation, pair, first.genome, second.genome)
            for side, genome in enumerate(genomes):
                child = 2 * pair + side
                if child == self._config.children:
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
