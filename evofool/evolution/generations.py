"""MAP-Elites as a campaign drives it: whole generations, scored, and resumed where it stopped."""

from __future__ import annotations

from typing import Any

import numpy as np

from evofool.config import EvolutionConfig
from evofool.encodings import Encoding
from evofool.errors import DamagedError
from evofool.evolution.archive import Parents
from evofool.evolution.arrays import pack, pack_genomes, unpack, unpack_genomes
from evofool.evolution.evaluation import Evaluator, Population
from evofool.evolution.individual import Individual
from evofool.evolution.map_elites import MapElites
from evofool.store import IndividualId


class MapElitesGenerations:
    """The generations of a `MapElites`, which an `Evaluator` scores and offers to its archive.

    All of a generation are evaluated before any is inserted. With `lag` 1 a generation is asked
    for before the one before is told: so its parents are the champions of one generation earlier,
    and it can be bred and scored while the last scores of the one before are on their way.

    Args:
        config: of the campaign's evolution.
        search: whose archive the evaluator fills.
        encoding: of its genomes.
        evaluator: scores.
    """

    def __init__(
        self,
        config: EvolutionConfig,
        search: MapElites,
        encoding: Encoding[Any],
        evaluator: Evaluator,
    ) -> None:
        self._config = config
        self._search = search
        self._encoding = encoding
        self._evaluator = evaluator
        self._behind: Parents | None = None
        self._begun: Population | None = None

    def start(self) -> None:
        self._evaluator(self._search.individuals(self._config.initial, generation=0))

    def step(self, generation: int, last: bool) -> list[Individual]:
        now = self._search.archive.parents()
        if self._config.lag == 0:
            self._evaluator(self._search.individuals(self._config.children, generation=generation))
            return []
        current = self._begun
        if current is None:  # the first generation of all, or after a resume
            current = self._begin(generation, self._behind or now)
        self._begun = None

        def begin_next() -> None:
            if self._begun is None and not last:
                self._begun = self._begin(generation + 1, now)

        self._evaluator.finish(current, begin_next)
        self._behind = now
        return []

    def state(self) -> dict[str, bytes]:
        if self._behind is None:
            return {}
        changed = [
            (k, holder)
            for k, (holder, newer) in enumerate(
                zip(self._behind.holders, self._search.archive.holders, strict=True)
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
        archive = self._search.archive
        holders = list(archive.holders)
        people = {id: Individual(genome, id) for id, genome in genomes.items()}
        try:
            for k, id in zip(arrays["cells"].tolist(), arrays["ids"].tolist(), strict=True):
                if k < 0:
                    raise IndexError(k)
                holders[k] = people[IndividualId(*id)]
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"the stored parents are damaged ({error!r})") from error
        self._behind = Parents(archive.cells, holders)

    def _begin(self, generation: int, parents: Parents) -> Population:
        individuals = self._search.individuals(
            self._config.children, generation=generation, parents=parents
        )
        return self._evaluator.begin(individuals)
