"""MAP-Elites over classes, by `ask` and `tell`: a search that knows nothing of who scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from deap import base
from numpy.typing import ArrayLike, NDArray

from evofool.encodings import Encoding
from evofool.errors import UsageError
from evofool.evolution.archive import SELECTIONS, ChampionArchive, Parents, Win
from evofool.evolution.brood import genomes_of
from evofool.evolution.individual import Individual
from evofool.evolution.variation import breed, sample
from evofool.images import Size, UInt8Images
from evofool.store import IndividualId

REMEMBERED = 100_000
"""Asked genomes whose parents are kept until they are told; of older ones that are told at last,
only the parents are unknown."""


@dataclass(frozen=True)
class Champion:
    """The elite of one class.

    Attributes:
        class_index: the class, a column of the scores.
        label: its label.
        score: what it was told with, for this class.
        genome: of the encoding.
        id: generation and child, written ``g:i``.
    """

    class_index: int
    label: str
    score: float
    genome: Any
    id: IndividualId
    _encoding: Encoding[Any] = field(repr=False, compare=False)

    def pixels(self, size: Size) -> UInt8Images:
        """The picture at `size` (height, width): C x H x W uint8."""
        image: UInt8Images = self._encoding.render([self.genome], size)[0]
        return image


class MapElites:
    """MAP-Elites: one champion per class (Mouret and Clune 2015; Nguyen et al. 2015).

    `ask` gives genomes, `tell` takes what they scored; in between anything may score them, in any
    order, and at any time. A campaign (`evofool.evolve`) is driven by this class too.

    Children come in pairs: two parents drawn over filled cells, crossed, both mutated.
    Child i of generation g draws from (seed, g, i), so the same answers give the same search.
    A generation that is asked for before the last one was told is bred from the champions of
    that moment, so that workers never have to wait.

    Args:
        encoding: makes, varies and renders genomes (`evofool.encodings.load`).
        classes: how many there are, or their labels: the columns of the scores.
        seed: of all randomness, from 0 to 2^63 - 1.
        parents: how they are drawn, as ``evolution.parents`` of a config says: ``uniform`` or
            ``recent``.
        refine: whether some children are refined, as ``evolution.refine`` of a config says. Only an
            archive that knows log-odds, as a campaign's does, has any to refine.
        toolbox: DEAP's, with ``sample``, ``mate``, ``mutate`` and ``select`` as
            `evofool.evolution.toolbox` has them, in place of the encoding's and of `parents`.
        archive: to go on with, and to fill; None begins with an empty cell for each class.

    Attributes:
        archive: the champions.
        generation: the last one that was asked for, -1 before the first.

    Raises:
        UsageError: no class, a seed out of range, no such way to draw parents, or an archive with
            cells that are no classes.
    """

    def __init__(
        self,
        encoding: Encoding[Any],
        classes: int | Sequence[str],
        seed: int = 1,
        *,
        parents: str = "uniform",
        refine: bool = False,
        toolbox: base.Toolbox | None = None,
        archive: ChampionArchive | None = None,
    ) -> None:
        self.labels = _labels(classes)
        if not 0 <= seed < 2**63:
            raise UsageError(f"MapElites: seed must be from 0 to 2^63 - 1, not {seed}")
        if parents not in SELECTIONS:
            raise UsageError(
                f"MapElites: parents must be one of {', '.join(SELECTIONS)}, not {parents!r}"
            )
        if archive is None:
            archive = ChampionArchive(range(len(self.labels)))
        if not (len(archive) and 0 <= archive.cells[0] <= archive.cells[-1] < len(self.labels)):
            raise UsageError(
                f"MapElites: the archive has cells that are not among the {len(self.labels)}"
                " classes"
            )
        self.archive = archive
        self.generation = -1
        self._encoding = encoding
        self._seed = seed
        self._refine = refine
        self._toolbox = operators(encoding, parents) if toolbox is None else toolbox
        self._asked: dict[bytes, Individual] = {}
        self._count = 0

    def ask(self, n: int) -> list[Any]:
        """The next generation: `n` genomes, random ones as long as no cell is filled.

        Raises:
            UsageError: `n` is not at least 1.
        """
        if n < 1:
            raise UsageError(f"MapElites: ask for at least 1 genome, not {n}")
        asked = list(self.individuals(n))
        genomes_of(asked)
        for individual in reversed(asked):  # of two that are equal the first counts, as in a tie
            self._asked.pop(digest := self._digest(individual.genome, 0), None)
            self._asked[digest] = Individual(
                None, individual.id, individual.parents, individual.parent_cells
            )
        while len(self._asked) > max(REMEMBERED, n):
            del self._asked[next(iter(self._asked))]
        return [individual.genome for individual in asked]

    def tell(self, genomes: Sequence[Any], scores: ArrayLike) -> list[Win]:
        """Offer scored genomes to every cell: by strictly higher scores only, ties go to the first.

        They may be any of those that were asked for, in any order and number, again, or genomes
        from elsewhere; none of them may be changed afterwards.

        Args:
            genomes: N of the encoding.
            scores: N x classes, float64 or what becomes it, higher is better, compared as they
                are. Infinities are compared too; a NaN wins nothing, not even an empty cell.

        Returns:
            The cells that changed hands.

        Raises:
            UsageError: scores of another shape, or that are no real numbers; or no genome of this
                encoding. Nothing was offered then.
        """
        values = self._checked(scores, len(genomes))
        individuals = [self._individual(genome, row) for row, genome in enumerate(genomes)]
        if not individuals:
            return []
        missing = np.isnan(values)
        top = np.argmax(np.where(missing, -np.inf, values), axis=1)
        top[missing.all(axis=1)] = -1
        return self.archive.offer(individuals, values[:, self.archive.cells], top)

    def elites(self) -> list[Champion]:
        """The champions of all filled cells, in the order of their classes."""
        archive, champions = self.archive, []
        for k, (class_index, holder) in enumerate(
            zip(archive.cells.tolist(), archive.holders, strict=True)
        ):
            if holder is not None:
                label, score = self.labels[class_index], float(archive.fitness[k])
                champions.append(
                    Champion(class_index, label, score, holder.genome, holder.id, self._encoding)
                )
        return champions

    def individuals(
        self, n: int, *, generation: int | None = None, parents: Parents | None = None
    ) -> Iterator[Individual]:
        """What `ask` gives as individuals, bred as they are taken; the parents are chosen now.

        Args:
            n: how many.
            generation: its number; None is the next.
            parents: to breed from; None are the champions of this moment.
        """
        self.generation = self.generation + 1 if generation is None else generation
        self._count = n
        if parents is None:
            if not self.archive.filled.any():
                return sample(self._toolbox, self._seed, n, self.generation)
            parents = self.archive.parents()
        return breed(
            self._toolbox,
            self._encoding,
            self._seed,
            self.generation,
            parents,
            n,
            refine=self._refine,
        )

    def _individual(self, genome: Any, row: int) -> Individual:
        """Who `genome` is; a foreign one is numbered on after those that were asked for."""
        known = self._asked.get(self._digest(genome, row))
        if known is not None:
            return Individual(genome, known.id, known.parents, known.parent_cells)
        self.generation = max(self.generation, 0)
        self._count += 1
        return Individual(genome, IndividualId(self.generation, self._count - 1))

    def _digest(self, genome: Any, row: int) -> bytes:
        try:
            return hashlib.sha256(self._encoding.dump(genome)).digest()
        except Exception as error:  # of an encoding that may be anyone's, and a genome of another
            raise UsageError(
                f"MapElites: genomes[{row}], of type {type(genome).__name__}, is not a genome of"
                f" encoding {self._encoding.name} ({type(error).__name__}: {error})"
            ) from error

    def _checked(self, scores: ArrayLike, count: int) -> NDArray[np.float64]:
        wanted = (count, len(self.labels))
        try:
            values = np.asarray(scores)
        except ValueError as error:  # rows of several lengths
            raise UsageError(
                f"MapElites: the scores are not an array of {wanted} ({error})"
            ) from error
        if values.dtype.kind not in "fiub" or (values.shape != wanted and count):
            raise UsageError(
                f"MapElites: the scores are {values.dtype} {values.shape}, but must be real"
                f" numbers of {wanted}: one row per genome, one column per class"
            )
        return values.astype(np.float64)


def operators(encoding: Encoding[Any], parents: str = "uniform") -> base.Toolbox:
    """A toolbox that varies genomes as `encoding` does, and draws parents as a key of `SELECTIONS`
    says."""
    toolbox = base.Toolbox()
    toolbox.register("sample", encoding.sample)
    toolbox.register("mate", encoding.mate)
    toolbox.register("mutate", encoding.mutate)
    toolbox.register("select", SELECTIONS[parents])
    return toolbox


def _labels(classes: int | Sequence[str]) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise UsageError(
            f"MapElites: classes must be a number or a list of labels, not {classes!r}"
        )
    counted = isinstance(classes, int | np.integer)
    labels = tuple(map(str, range(classes) if counted else classes))  # type: ignore[arg-type]
    if not labels:
        raise UsageError(f"MapElites: classes must be at least one, not {classes!r}")
    return labels
