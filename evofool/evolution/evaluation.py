"""DEAP's `evaluate` for whole populations: render, score, offer to the archive, all pipelined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from evofool.encodings import Encoding
from evofool.errors import Interrupted, ScoringError
from evofool.evolution.archive import ChampionArchive, Win
from evofool.evolution.individual import Individual
from evofool.images import Size, UInt8Images
from evofool.scoring import OutOfMemory, Producer, Scorer, Scores


class Evaluator:
    """Registered as ``toolbox.evaluate``; `take` hands what happened to the campaign.

    Individuals may come from a generator: while the first micro-batches are rendered and scored in
    the scorer's workers, the next are bred here.
    """

    def __init__(
        self,
        scorer: Scorer,
        encoding: Encoding[Any],
        archive: ChampionArchive,
        should_stop: Callable[[], bool],
    ) -> None:
        self._scorer = scorer
        self._encoding = encoding
        self._archive = archive
        self._should_stop = should_stop
        self._size: Size = scorer.classifier.input_shape[1:]
        self.evaluations = 0
        self._wins: list[Win] = []

    def __call__(self, individuals: Iterable[Individual]) -> list[tuple[float]]:
        """One fitness a individual: its best over the archive's cells.

        Raises:
            Interrupted: a stop was asked for; the archive is as it was before the call.
            ScoringError, BudgetError: as the Scorer.
        """
        bred: list[Individual] = []
        source = iter(individuals)
        while True:
            queries = self._scorer.queries
            try:
                parts = list(self._scorer.map(self._producers(source, bred)))
                break
            except OutOfMemory:
                # all of the batch again at half the size: which micro-batches had been scored
                # before the device was full depends on timing, and must not show in a result
                self._scorer.halve()
                self._scorer.queries = queries
                source, bred = chain(bred, source), []
        if not bred:
            return []
        odds = np.concatenate([part.log_odds for part in parts])
        if len(odds) != len(bred):
            raise ScoringError(f"{len(odds)} scores came back for {len(bred)} images")
        wins, fitness = self._archive.add(bred, Scores(odds))
        self._wins += wins
        self.evaluations += len(bred)
        return [(float(value),) for value in fitness.max(axis=1)]

    def take(self) -> list[Win]:
        """The wins since the last call."""
        wins, self._wins = self._wins, []
        return wins

    def render(self, individuals: Sequence[Individual]) -> UInt8Images:
        """The pixels that are scored, N x C x H x W."""
        images = self._encoding.render([each.genome for each in individuals], self._size)
        if len(images) != len(individuals):
            raise ScoringError(
                f"encoding {self._encoding.name} rendered {len(images)} images of"
                f" {len(individuals)} genomes"
            )
        return images

    def _producers(
        self, source: Iterator[Individual], bred: list[Individual]
    ) -> Iterator[Producer]:
        while chunk := list(islice(source, self._scorer.images_per_batch)):
            if self._should_stop():
                raise Interrupted("stopped; everything up to the last generation is saved")
            bred += chunk
            yield lambda chunk=chunk: self.render(chunk)  # type: ignore[misc]
