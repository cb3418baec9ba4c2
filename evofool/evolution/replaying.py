"""Pictures of any generation of a finished run, bred again without a query to its victim.

Only current elites keep their genomes. But who held which cell after every generation is stored,
every elite can be replayed, and children depend on (seed, generation) and the elites alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from evofool.config import MapElitesConfig
from evofool.errors import StoreError, UsageError
from evofool.evolution.archive import Parents
from evofool.evolution.deap_toolbox import told
from evofool.evolution.individual import Individual
from evofool.evolution.lineage import Lineage
from evofool.evolution.map_elites import operators
from evofool.evolution.restoring import StoredElites, load_run, open_elites
from evofool.evolution.variation import breed, sample
from evofool.images import UInt8Images
from evofool.store import CampaignFolder, IndividualId, WinRow

_CHUNK = 256
"""Pictures that are drawn together."""


def early_and_late(path: Path, early: int, late: int) -> tuple[UInt8Images, UInt8Images]:
    """The first `early` and the last `late` pictures that a campaign scored, in order.

    Nothing is scored. The pixels are those that were scored: individuals that won a cell are
    checked against the digest that was stored.

    Args:
        path: a run folder of `map_elites` without lag.
        early: how many of the first individuals, those of generation 0 before all others.
        late: how many of the last.

    Returns:
        uint8 early x C x H x W and late x C x H x W.

    Raises:
        UsageError: another algorithm, tools of a program, or fewer individuals than `early` and
            `late` together.
        StoreError: a damaged run folder, or a child comes out different.
    """
    with CampaignFolder.open(path) as run:
        config = load_run(run, check_files=False).config
        evolution = config.evolution
        if not isinstance(evolution, MapElitesConfig) or evolution.lag:
            raise UsageError(f"{path}: only map_elites without lag can be bred again")
        if tools := run.manifest.get("toolbox", {}):
            raise UsageError(f"{path}: was bred with tools of a program: {told(tools)}")
        newest = run.last_generation()
        total = 0 if newest is None else newest.evaluations
        if early + late > total:
            raise UsageError(
                f"{path}: {early} early and {late} late pictures were asked for, but only"
                f" {total} were scored"
            )
        replay = _Replay(run, open_elites(run), config.seed, evolution)
        return replay.pictures(0, early), replay.pictures(total - late, total)


class _Replay:
    def __init__(
        self, run: CampaignFolder, stored: StoredElites, seed: int, evolution: MapElitesConfig
    ) -> None:
        self._run, self._stored, self._seed = run, stored, seed
        self._initial, self._children = evolution.initial, evolution.children
        self._refine = evolution.refine
        self._lineage = Lineage(run, stored.breeding, seed)
        self._toolbox = operators(stored.breeding, evolution.parents)
        self._wins = run.wins()
        self._won = {win.id for win in self._wins}

    def pictures(self, start: int, end: int) -> UInt8Images:
        """Of the individuals number `start` to `end` (excluded), counted over all generations."""
        people = list(self._people(start, end))
        channels, height, width = self._run.manifest["classifier"]["input_shape"]
        images = np.empty((len(people), channels, height, width), np.uint8)
        for begin in range(0, len(people), _CHUNK):
            chunk = people[begin : begin + _CHUNK]
            images[begin : begin + len(chunk)] = self._stored.render(chunk)
        return images

    def _people(self, start: int, end: int) -> Iterator[Individual]:
        if start >= end:
            return
        first, last = self._generation_of(start), self._generation_of(end - 1)
        holders = {g: _holders(self._wins, g - 1) for g in range(max(first, 1), last + 1)}
        ids = {win.id for cells in holders.values() for win in cells.values()}
        genomes = dict(self._lineage.genomes(ids)) if ids else {}
        people = {id: Individual(genome, id) for id, genome in genomes.items()}
        for generation in range(first, last + 1):
            begin = self._initial + (generation - 1) * self._children if generation else 0
            if generation == 0:
                bred = sample(self._toolbox, self._seed, self._initial)
            else:
                parents = self._parents(holders[generation], people)
                bred = breed(
                    self._toolbox,
                    self._stored.breeding,
                    self._seed,
                    generation,
                    parents,
                    self._children,
                    refine=self._refine,
                )
            for individual in islice(bred, max(0, start - begin), end - begin):
                yield self._checked(individual)

    def _parents(self, held: dict[int, WinRow], people: dict[IndividualId, Individual]) -> Parents:
        cells = self._stored.archive.cells
        wins = [held.get(cell) for cell in cells.tolist()]
        holders = [None if win is None else people[win.id] for win in wins]
        log_odds = np.array([-np.inf if win is None else win.log_odds for win in wins])
        return Parents(cells, holders, log_odds)

    def _generation_of(self, index: int) -> int:
        if index < self._initial:
            return 0
        return 1 + (index - self._initial) // self._children

    def _checked(self, individual: Individual) -> Individual:
        stored = self._stored
        dump = stored.breeding.dump(individual.genome)
        if individual.id in self._won:
            row = self._run.individual(individual.id)
            if row is None or row.sha256 != hashlib.sha256(dump).digest():
                raise StoreError(
                    f"{self._run.path}: {individual.id} is different when it is bred again"
                )
        genome: Any = individual.genome
        if stored.breeding is not stored.encoding:
            genome = stored.encoding.load(dump)
        return Individual(genome, individual.id, individual.parents, individual.parent_cells)


def _holders(wins: Sequence[WinRow], generation: int) -> dict[int, WinRow]:
    """Who holds each cell after `generation`, by the last win; `wins` are the oldest first."""
    return {win.class_index: win for win in wins if win.id.generation <= generation}
