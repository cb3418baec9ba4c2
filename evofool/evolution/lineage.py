"""Ancestors, made again: only current elites keep their genomes, all others can be replayed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from evofool.encodings import Encoding
from evofool.errors import StoreError
from evofool.evolution.deap_toolbox import not_bred_again
from evofool.evolution.map_elites import operators
from evofool.evolution.randomness import Stream, generator
from evofool.evolution.refining import CANDIDATES
from evofool.evolution.variation import cross, mutate
from evofool.store import CampaignFolder, IndividualId, IndividualRow


class Lineage:
    """The family of the elites of a run whose children are keyed by (seed, generation, child).

    Not for `cma_es`, whose points have no parents.
    """

    def __init__(self, run: CampaignFolder, encoding: Encoding[Any], seed: int) -> None:
        self._run = run
        self._encoding = encoding
        self._seed = seed
        self._toolbox = operators(encoding)

    def of(self, *ids: IndividualId) -> dict[IndividualId, IndividualRow]:
        """`ids` and all their ancestors, oldest first.

        Raises:
            StoreError: one of them is not in the run folder.
        """
        rows: dict[IndividualId, IndividualRow] = {}
        waiting = list(ids)
        while waiting:
            current = waiting.pop()
            if current in rows:
                continue
            row = self._run.individual(current)
            if row is None and current.generation == 0:  # never won a cell, yet was a parent
                row = IndividualRow(current, (), (), b"", None)
            if row is None:
                raise StoreError(f"{self._run.path}: ancestor {current} is missing")
            for parent in row.parents:
                if parent.generation >= current.generation:
                    raise StoreError(f"{self._run.path}: {parent} cannot be a parent of {current}")
            rows[current] = row
            waiting += row.parents
        return dict(sorted(rows.items()))

    def genome(self, id: IndividualId) -> Any:
        """The genome of `id`, replayed from the random individuals it descends from.

        Every step is held to the sha256 that was stored when it was bred.

        Raises:
            StoreError: an ancestor is missing or comes out different, or was bred with tools of a
                program.
        """
        return dict(self.genomes([id]))[id]

    def genomes(self, ids: Iterable[IndividualId]) -> Iterator[tuple[IndividualId, Any]]:
        """As `genome` for each of `ids`, oldest first; what they have in common is bred once.

        A genome is let go of as soon as no one needs it, so that those of a large family need not
        fit into memory together.
        """
        foreign = not_bred_again(self._run.manifest)
        if foreign:
            raise StoreError(f"{self._run.path}: was {foreign}")
        wanted = set(ids)
        family = self.of(*wanted)
        uses = Counter(parent for row in family.values() for parent in row.parents)
        genomes: dict[IndividualId, Any] = {}
        for current, row in family.items():
            genome = genomes[current] = self._replay(row, genomes)
            if row.sha256 and not self._is(genome, row):
                raise StoreError(f"{self._run.path}: {current} is different when it is bred again")
            for parent in row.parents:
                uses[parent] -= 1
                if uses[parent] == 0:  # no later descendant needs it
                    genomes.pop(parent, None)
            if uses[current] == 0:
                del genomes[current]
            if current in wanted:
                yield current, genome

    def _mutated(self, row: IndividualRow, genome: Any) -> Any:
        """The child of one parent. A refined one is one of several mutated copies; which, the
        stored digest tells, so that nothing is drawn, which another machine may do otherwise."""
        generation, child = row.id
        rng = generator(self._seed, Stream.MUTATE, generation, child)
        for _ in range(CANDIDATES):  # the first is what a child is that was not refined
            copy = self._toolbox.mutate(genome, rng, generation)
            if self._is(copy, row):
                break
        return copy

    def _is(self, genome: Any, row: IndividualRow) -> bool:
        return hashlib.sha256(self._encoding.dump(genome)).digest() == row.sha256

    def _replay(self, row: IndividualRow, genomes: dict[IndividualId, Any]) -> Any:
        generation, child = row.id
        if not row.parents:
            return self._encoding.sample(generator(self._seed, Stream.SAMPLE, generation, child))
        if len(row.parents) == 1:
            return self._mutated(row, genomes[row.parents[0]])
        first, second = (genomes[parent] for parent in row.parents)
        if row.parent_cells:  # an all-classes campaign breeds in pairs, and mutates what it crosses
            crossed = cross(self._toolbox, self._seed, generation, child // 2, first, second)
            return mutate(self._toolbox, self._seed, generation, child, crossed[child % 2])
        return cross(self._toolbox, self._seed, generation, child, first, second)[0]
