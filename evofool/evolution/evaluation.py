"""DEAP's `evaluate` for whole populations: render, score, offer to the archive, all pipelined."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np

from evofool.classifiers.sources.user_code import NAMESPACE
from evofool.encodings import Encoding
from evofool.errors import Interrupted, ScoringError
from evofool.evolution.archive import ChampionArchive, Win
from evofool.evolution.brood import genomes_of
from evofool.evolution.drawing import Drawing
from evofool.evolution.fitness import CheckedFitness
from evofool.evolution.individual import Individual
from evofool.images import Size, UInt8Images
from evofool.scoring import (
    Batch,
    Matrix,
    OutOfMemory,
    Parcel,
    Producer,
    Scorer,
    Scores,
    ScoreStream,
)

HOPELESS = 10
"""A population of at least so many pictures none of which has scores ends a campaign, since the
victim does not work. Of fewer it may be chance, and then a resume would meet it for ever."""

_Part: TypeAlias = tuple[Scores, Matrix | None]
"""A micro-batch: its scores, and its fitness where a function gives it."""


class Population:
    """Individuals on their way through an `Evaluator`."""

    def __init__(self, individuals: Iterable[Individual]) -> None:
        self.bred: list[Individual] = []
        self.source: Iterator[Individual] = iter(individuals)
        self.stream: ScoreStream | None = None
        self.pictures: dict[int, Batch] = {}
        """By micro-batch, what a fitness function still has to look at."""

    def restart(self) -> None:
        """Forget what was scored; the same individuals come again."""
        if self.stream is not None:
            self.stream.close()
        self.stream = None
        self.pictures = {}  # anew: a worker may still put one into the old
        self.source, self.bred = chain(self.bred, self.source), []


@dataclass(frozen=True)
class _Pictures:
    """The producer of a micro-batch: drawn in the scorer's workers, wherever these are."""

    evaluator: Evaluator
    individuals: Sequence[Individual]
    pictures: dict[int, Batch]
    at: int

    def __call__(self) -> Batch:
        """Drawn here."""
        images = self.evaluator.to_score(self.individuals)
        if self.keep is not None:
            self.keep(images)
        return images

    def parcel(self) -> Parcel:
        """The genomes."""
        return Parcel(len(self.individuals), self.evaluator.packed(self.individuals))

    @property
    def keep(self) -> Callable[[Batch], None] | None:
        """Where a fitness function looks at the pictures too."""
        return self._kept if self.evaluator.looks else None

    def _kept(self, images: Batch) -> None:
        self.evaluator.check(images, len(self.individuals))
        self.pictures[self.at] = images


class Evaluator:
    """Registered as ``toolbox.evaluate``; `take` hands what happened to the campaign.

    Individuals may come from a generator: while the first micro-batches are rendered and scored in
    the scorer's workers, the next are bred here. `begin` and `finish` are the two halves of a
    call, for an algorithm that begins the next population before the last is finished.

    Attributes:
        evaluations: individuals of finished populations.
        forward_images: images that went forward through the net for these, retries and
            confirmations included.
        unscored: individuals of finished populations that the victim gave no usable scores for.
    """

    def __init__(
        self,
        scorer: Scorer,
        encoding: Encoding[Any],
        archive: ChampionArchive,
        should_stop: Callable[[], bool],
        drawing: Drawing | None = None,
        fitness: CheckedFitness | None = None,
    ) -> None:
        self._scorer = scorer
        self._encoding = encoding
        self._archive = archive
        self._should_stop = should_stop
        self._drawing = drawing or Drawing(encoding)
        self._fitness = fitness
        self._size: Size = scorer.classifier.input_shape[1:]
        self.evaluations = 0
        self.forward_images = 0
        self.unscored = 0
        self._wins: list[Win] = []
        self._begun: list[Population] = []
        self._by_dump = False

    def __call__(self, individuals: Iterable[Individual]) -> list[tuple[float]]:
        """One fitness an individual: its best over the archive's cells (where scores only screen,
        one for each that was confirmed).

        Raises:
            Interrupted: a stop was asked for; the archive is as it was before the call.
            ScoringError, BudgetError: as the Scorer.
        """
        return self.finish(self.begin(individuals))

    def begin(self, individuals: Iterable[Individual]) -> Population:
        """Hand the first micro-batches of a population to the workers, and wait for nothing."""
        population = Population(individuals)
        self._begun.append(population)
        self._stream(population).fill()
        return population

    def finish(
        self, population: Population, meanwhile: Callable[[], None] = lambda: None
    ) -> list[tuple[float]]:
        """Wait for a population's scores and offer it to the archive; as a call otherwise.

        Args:
            population: what `begin` gave.
            meanwhile: called once all of it is with the workers, before the last scores are there.
        """
        while True:
            try:
                parts = self._scores(population, meanwhile)
                bred = population.bred
                children, scores, ranks = self._confirmed(bred, *self._joined(parts, len(bred)))
                break
            except OutOfMemory:
                # all again at half the size: which micro-batches had been scored before the
                # device was full depends on timing, and must not show in a result
                self._scorer.halve()
                for begun in self._begun:
                    begun.restart()
                self._scorer.again_from(self.evaluations)
                self.forward_images = self._scorer.forward_images
        self._begun.remove(population)
        self._check_scored(scores)
        wins, fitness = self._archive.add(children, scores, ranks)
        if self._fitness is not None and not self._archive.filled.any():
            raise ScoringError(
                f"fitness {self._fitness.name} gave NaN for every picture of the initial"
                " population and every class of the search, so there are no parents"
            )
        self._wins += wins
        self.evaluations += len(bred)
        self.forward_images += scores.forward_images
        return list(zip(fitness.max(axis=1).tolist(), strict=True))

    def _check_scored(self, scores: Scores) -> None:
        """Count who has no scores; refuse a population in which nobody has."""
        missing = int((~scores.scored).sum())
        nothing_yet = not self._archive.filled.any()
        if missing and missing == len(scores) and (missing >= HOPELESS or nothing_yet):
            raise ScoringError(
                f"{self._scorer.classifier.name} gave non-finite scores for all {missing}"
                " pictures of a population; nothing of it was kept"
            )
        self.unscored += missing

    def close(self) -> None:
        """Drop the populations that were begun and never finished."""
        for population in self._begun:
            if population.stream is not None:
                population.stream.close()
        self._begun.clear()

    def take(self) -> list[Win]:
        """The wins since the last call."""
        wins, self._wins = self._wins, []
        return wins

    def render(self, individuals: Sequence[Individual]) -> UInt8Images:
        """The pixels that are scored, N x C x H x W, on the host."""
        images = self._drawing(genomes_of(individuals), self._size)
        self.check(images, len(individuals))
        return images

    def to_score(self, individuals: Sequence[Individual]) -> Batch:
        """The same where the scorer is."""
        images = self._drawing.to_score(genomes_of(individuals), self._size)
        self.check(images, len(individuals))
        return images

    def packed(self, individuals: Sequence[Individual]) -> bytes | list[bytes]:
        """What `evofool.evolution.spreading` draws the same of, in another process.

        Genomes that were bred together are pickled together, which takes a fraction of what it
        takes to write down and check each; their dumps travel where their class is a user's file,
        which has no name there.
        """
        genomes = genomes_of(individuals)
        if not self._by_dump:
            try:
                pickled = pickle.dumps(genomes, protocol=5)
            except Exception:  # of anyone's class
                pickled = b""
            if pickled and NAMESPACE.encode() not in pickled:
                return pickled
            self._by_dump = True
        return [self._encoding.dump(genome) for genome in genomes]

    @property
    def looks(self) -> bool:
        """Whether a fitness function wants to see the pictures, beside their scores."""
        return self._fitness is not None

    def check(self, images: Batch, count: int) -> None:
        """Refuse what an encoding of anyone's drew, unless it is `count` pictures for the victim.

        Raises:
            ScoringError: it is not.
        """
        name = self._encoding.name
        wanted = (count, *self._scorer.classifier.input_shape)
        shape, dtype = getattr(images, "shape", None), getattr(images, "dtype", None)
        if shape != wanted or str(dtype).removeprefix("torch.") != "uint8":
            raise ScoringError(
                f"encoding {name} rendered {dtype} {shape}, but must render uint8 {wanted}"
            )

    def _stream(self, population: Population) -> ScoreStream:
        if population.stream is None:
            population.stream = self._scorer.map(self._producers(population))
        return population.stream

    def _scores(self, population: Population, meanwhile: Callable[[], None]) -> list[_Part]:
        stream = self._stream(population)
        parts: list[_Part] = []
        waiting = True
        while True:
            stream.fill()
            if waiting and stream.exhausted:
                meanwhile()
                waiting = False
            scores = next(stream, None)
            if scores is None:
                return parts
            parts.append((scores, self._ranks(scores, population.pictures, len(parts))))

    def _ranks(self, scores: Scores, pictures: dict[int, Batch], at: int) -> Matrix | None:
        """N x classes of a micro-batch by a fitness function, None without one."""
        if self._fitness is None:
            return None
        images = pictures.pop(at)
        pixels: UInt8Images = np.asarray(images if isinstance(images, np.ndarray) else images.cpu())
        return self._fitness(scores.log_odds, pixels)

    def _joined(self, parts: Sequence[_Part], count: int) -> tuple[Scores, Matrix | None]:
        if not parts:
            return Scores(np.zeros((0, self._scorer.classifier.n_classes))), None
        odds = np.concatenate([part.log_odds for part, _ in parts])
        if len(odds) != count:
            raise ScoringError(f"{len(odds)} scores came back for {count} images")
        top = np.concatenate([part.labels for part, _ in parts])
        forward = sum(part.forward_images for part, _ in parts)
        ranks = [ranks for _, ranks in parts if ranks is not None]
        scores = Scores(odds, top=top, forward_images=forward)
        return scores, np.concatenate(ranks) if ranks else None

    def _confirmed(
        self, bred: list[Individual], scores: Scores, ranks: Matrix | None
    ) -> tuple[list[Individual], Scores, Matrix | None]:
        """Who is offered to the archive: all, or if scores only screened, whoever would win a cell
        by them, with scores in float32.
        """
        if self._scorer.precision == "float32":
            return bred, scores, ranks
        chosen = [bred[row] for row in self._archive.contenders(scores, ranks)]
        step = self._scorer.images_per_batch
        chunks = [chosen[i : i + step] for i in range(0, len(chosen), step)]
        pictures: dict[int, Batch] = {}
        producers = [_Pictures(self, chunk, pictures, at) for at, chunk in enumerate(chunks)]
        parts = [
            (part, self._ranks(part, pictures, at))
            for at, part in enumerate(self._scorer.confirm(producers))
        ]
        exact, ranks = self._joined(parts, len(chosen))
        forward = scores.forward_images + exact.forward_images
        return chosen, replace(exact, forward_images=forward), ranks

    def _producers(self, population: Population) -> Iterator[Producer]:
        pictures = population.pictures
        chunks = iter(lambda: list(islice(population.source, self._scorer.images_per_batch)), [])
        for at, chunk in enumerate(chunks):
            if self._should_stop():
                raise Interrupted("stopped")
            population.bred += chunk
            yield _Pictures(self, chunk, pictures, at)
