"""MAP-Elites over classes, and the variation that makes a child from its parents alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from deap import base

from evofool.config import EvolutionConfig
from evofool.encodings import Encoding
from evofool.errors import StoreError
from evofool.evolution.archive import ChampionArchive, Parents
from evofool.evolution.arrays import pack, pack_genomes, unpack, unpack_genomes
from evofool.evolution.evaluation import Evaluator, Population
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

    With `lag` 1 the parents of a generation are the champions of one generation earlier, so that
    it can be bred and scored while the last scores of the one before are on their way.
    """

    def __init__(
        self,
        config: EvolutionConfig,
        seed: int,
        toolbox: base.Toolbox,
        encoding: Encoding[Any],
        archive: ChampionArchive,
        evaluator: Evaluator,
    ) -> None:
        self._config = config
        self._seed = seed
        self._toolbox = toolbox
        self._encoding = encoding
        self._archive = archive
        self._evaluator = evaluator
        self._behind: Parents | None = None
        self._begun: Population | None = None

    def start(self) -> None:
        self._toolbox.evaluate(sample(self._toolbox, self._seed, self._config.initial))

    def step(self, generation: int, last: bool) -> list[Individual]:
        now = self._archive.parents()
        if self._config.lag == 0:
            self._toolbox.evaluate(self._breed(generation, now))
            return []
        current = self._begun
        if current is None:  # the first generation of all, or after a resume
            current = self._evaluator.begin(self._breed(generation, self._behind or now))
        self._begun = None

        def begin_next() -> None:
            if self._begun is None and not last:
                self._begun = self._evaluator.begin(self._breed(generation + 1, now))

        self._evaluator.finish(current, begin_next)
        self._behind = now
        return []

    def state(self) -> dict[str, bytes]:
        if self._behind is None:
            return {}
        changed = [
            (k, holder)
            for k, (holder, newer) in enumerate(
                zip(self._behind.holders, self._archive.holders, strict=True)
            )
            if holder is not newer and holder is not None
        ]
        genomes = {holder.id: holder.genome for _, holder in changed}
        return {
            "behind": pack(
                cells=np.array([k for k, _ in changed], dtype=np.int64),
                ids=np.array([holder.id for _, holder in changed], np.int64).reshape(-1, 2),
            ),
            "behind_genomes": pack_genomes(genomes, self._encoding),
        }

    def restore(self, state: dict[str, bytes]) -> None:
        if "behind" not in state:
            return
        arrays = unpack(state, "behind", ("cells", "ids"))
        genomes = unpack_genomes(state, "behind_genomes", self._encoding)
        holders = list(self._archive.holders)
        people = {id: Individual(genome, id) for id, genome in genomes.items()}
        try:
            for k, id in zip(arrays["cells"].tolist(), arrays["ids"].tolist(), strict=True):
                if k < 0:
                    raise IndexError(k)
                holders[k] = people[IndividualId(*id)]
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the stored parents are damaged ({error!r})") from error
        self._behind = Parents(self._archive.cells, holders)

    def _breed(self, generation: int, parents: Parents) -> Iterator[Individual]:
        return breed(self._toolbox, self._seed, generation, parents, self._config.children)


def breed(
    toolbox: base.Toolbox, seed: int, generation: int, parents: Parents, children: int
) -> Iterator[Individual]:
    """The children of a generation, which depend on (seed, generation) and `parents` alone."""
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
