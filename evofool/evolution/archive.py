"""The champion archive: one cell for each class, and every child competes for every cell.

It is that of Nguyen et al. 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.evolution.individual import Individual
from evofool.operators.streams import streams_of
from evofool.randomness import Generators
from evofool.scoring import Matrix, Scores, fitness_of, sigmoid
from evofool.scoring.ranking import Fitness

YOUNGEST_OF = 3
"""Elites of which `Parents.pick_recent` takes the youngest."""

PROMISING_OF = 4
"""Elites of which `Parents.pick_promising` takes the one with most to gain."""

Pick: TypeAlias = tuple[Individual, int]
"""A parent, and the class of the cell that it was drawn from."""


@dataclass(frozen=True)
class Win:
    """One cell that changed hands.

    Attributes:
        individual: the new elite.
        class_index: the class of the cell.
        replaced: who held it before, None where it was empty (`new`).
        gain: by how much fitness rose (infinite for a new cell).
        fitness: of the new elite, by which it won.
        log_odds: of the class, for the new elite; NaN where what was told were no log-odds.
        switched: goal switching: its parents were drawn from cells of other classes only.
    """

    individual: Individual
    class_index: int
    replaced: Individual | None
    gain: float
    fitness: float
    log_odds: float
    switched: bool

    @property
    def new(self) -> bool:
        """Whether the cell was empty."""
        return self.replaced is None


class Parents:
    """The elites at one moment, from which parents are drawn.

    Attributes:
        cells: (K,), class indices.
        holders: K elites, None in an empty cell.
        log_odds: (K,), of each elite for its class, -inf in an empty cell; None if unknown.
    """

    def __init__(
        self,
        cells: NDArray[np.int64],
        holders: Sequence[Individual | None],
        log_odds: NDArray[np.float64] | None = None,
    ) -> None:
        self.cells = cells
        self.holders = holders
        self._log_odds = log_odds
        self._filled: list[Pick] = [
            (holder, cell)
            for holder, cell in zip(holders, cells.tolist(), strict=True)
            if holder is not None
        ]

    def pick(self, rng: np.random.Generator) -> Pick:
        """An elite drawn uniformly over filled cells, and the class of the cell.

        An elite in k cells is k times as likely, as in the published code.
        """
        return self._youngest([int(rng.integers(len(self._filled)))])

    def pick_recent(self, rng: np.random.Generator) -> Pick:
        """Of `YOUNGEST_OF` drawn by `pick` the elite of the latest generation, the first of equals.

        Cells where children succeed change hands often and hold young elites; an old one is where
        the search is stuck. So this spends children where they lately did well, and needs no other
        memory than the archive. It is a tournament as DEAP's ``selTournament``, by youth.
        """
        return self._youngest([int(rng.integers(len(self._filled))) for _ in range(YOUNGEST_OF)])

    @cached_property
    def refined_share(self) -> float:
        """Of the children that `evolution.refine` refines: the median confidence over all cells.

        At first there is little to refine. 0 where confidences are unknown.
        """
        if self._log_odds is None or np.isnan(self._log_odds).any():
            return 0.0
        return float(np.median(sigmoid(self._log_odds)))

    def pick_promising(self, rng: np.random.Generator) -> Pick:
        """Of `PROMISING_OF` drawn by `pick` the elite whose confidence p has the largest p (1 - p),
        the first of equals. Log-odds must be known.

        That is how much p rises with the log-odds: elites that are nearly sure, and those that are
        far from it, gain little by a small step. It is the elite whose log-odds are nearest to 0.
        """
        assert self._log_odds is not None
        drawn = rng.integers(len(self._filled), size=PROMISING_OF).tolist()
        odds = self._log_odds[np.searchsorted(self.cells, [self._filled[n][1] for n in drawn])]
        chosen: int = drawn[int(np.argmin(np.abs(odds)))]
        return self._filled[chosen]

    def pick_pairs(self, select: Select, generators: Generators) -> list[tuple[Pick, Pick]]:
        """What two calls of `select`, one of `DRAWS`, give with each generator."""
        count = DRAWS[select]
        drawn = streams_of(generators).integers(len(self._filled), 2 * count).tolist()
        return [(self._youngest(row[:count]), self._youngest(row[count:])) for row in drawn]

    def _youngest(self, drawn: Sequence[int]) -> Pick:
        """Of filled cells, told by their numbers, the one whose elite is of the latest generation,
        the first of equals."""
        best = self._filled[drawn[0]]
        for number in drawn[1:]:
            other = self._filled[number]
            if other[0].id.generation > best[0].id.generation:
                best = other
        return best


Select: TypeAlias = Callable[[Parents, np.random.Generator], Pick]
"""Draws a parent and says the class of its cell."""
SELECTIONS: Mapping[str, Select] = {"uniform": Parents.pick, "recent": Parents.pick_recent}
"""What draws parents, by the value of ``evolution.parents``."""
DRAWS: Mapping[Select, int] = {Parents.pick: 1, Parents.pick_recent: YOUNGEST_OF}
"""How many filled cells each of them draws."""


class ChampionArchive:
    """K cells, one for each of the classes `cells`, which holds the individual of highest fitness.

    A child replaces an elite by strictly higher fitness only; among children that tie, the first
    wins. A child may win several cells, which then share one object.

    Attributes:
        cells: (K,), class indices, ascending.
        fitness, log_odds: (K,), of each elite for its class; -inf in an empty cell. Log-odds are
            NaN where something else was told.
        filled: (K,), whether the cell has an elite (the first child fills them all).
        won: (K,), whether the elite's top-1 class is the cell's own.
        holders: K elites, None in an empty cell.
    """

    def __init__(self, cells: Sequence[int], fitness: Fitness = "log_odds") -> None:
        self.cells: NDArray[np.int64] = np.asarray(cells, dtype=np.int64)
        self.kind: Fitness = fitness
        self.fitness: NDArray[np.float64] = np.full(len(self.cells), -np.inf)
        self.log_odds: NDArray[np.float64] = np.full(len(self.cells), -np.inf)
        self.won: NDArray[np.bool_] = np.zeros(len(self.cells), dtype=np.bool_)
        self.filled: NDArray[np.bool_] = np.zeros(len(self.cells), dtype=np.bool_)
        self.holders: list[Individual | None] = [None] * len(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def contenders(self, scores: Scores, fitness: Matrix | None = None) -> list[int]:
        """Rows of the children that would win a cell, if `scores` were to be trusted; ascending.

        Children without scores are among them: a lower precision may lack what float32 has.
        `fitness` is as for `add`.
        """
        best, _, changed = self._contest(self._ranked(scores, fitness))
        unscored = np.flatnonzero(~scores.scored).tolist()
        return sorted({*best[changed].tolist(), *unscored})

    def add(
        self, children: Sequence[Individual], scores: Scores, fitness: Matrix | None = None
    ) -> tuple[list[Win], Matrix]:
        """Offer `children` to every cell; what changed, and their N x K fitness.

        A child without scores wins nothing, not even an empty cell, and its fitness is -inf.

        Args:
            children: N.
            scores: of the N.
            fitness: N x classes, what ranks them; None ranks by the archive's own `kind`.
        """
        ranked = self._ranked(scores, fitness)
        wins = self.offer(children, ranked, scores.labels, self._of_cells(scores.log_odds))
        return wins, np.where(np.isnan(ranked), -np.inf, ranked)

    def offer(
        self,
        children: Sequence[Individual],
        fitness: Matrix,
        top: NDArray[np.int64],
        log_odds: Matrix | None = None,
    ) -> list[Win]:
        """Offer `children` to every cell, ranked as they are given here; what changed.

        Args:
            children: N.
            fitness: N x K, of the cells' classes; a NaN wins nothing, not even an empty cell.
            top: (N,), the class of each that is sure to be meant, which decides what is `won`.
            log_odds: N x K, kept beside the fitness; None where there are none.
        """
        best, value, changed = self._contest(fitness)
        if not len(changed):
            return []
        with np.errstate(invalid="ignore"):  # -inf over an empty cell
            gain = np.where(self.filled, value - self.fitness, np.inf)
        odds = np.full(len(self.cells), np.nan)
        if log_odds is not None:
            odds = log_odds[best, np.arange(len(self.cells))]
        wins = []
        for k in changed.tolist():
            child = children[best[k]]
            class_index = int(self.cells[k])
            wins.append(
                Win(
                    child,
                    class_index,
                    self.holders[k],
                    float(gain[k]),
                    float(value[k]),
                    float(odds[k]),
                    bool(child.parent_cells) and class_index not in child.parent_cells,
                )
            )
            self.holders[k] = child
        self.filled[changed] = True
        self.fitness[changed] = value[changed]
        self.log_odds[changed] = odds[changed]
        self.won[changed] = top[best[changed]] == self.cells[changed]
        return wins

    def _ranked(self, scores: Scores, fitness: Matrix | None) -> Matrix:
        """N x K, the fitness of the cells' classes; NaN for a child without scores."""
        if fitness is None:
            ranked = fitness_of(self._of_cells(scores.log_odds), self.kind)
        else:
            ranked = self._of_cells(fitness)
        if scores.scored.all():
            return ranked
        return np.where(scores.scored[:, None], ranked, np.nan)

    def _of_cells(self, matrix: Matrix) -> Matrix:
        """The columns of the cells' classes."""
        return matrix if len(self.cells) == matrix.shape[1] else matrix[:, self.cells]

    def _contest(
        self, fitness: Matrix
    ) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
        """Of each cell the best row and its fitness; and the cells that it would take.

        A NaN compares greater than anything, in argmax and in DEAP, and is never the best.
        """
        cells = np.arange(len(self.cells))
        if not len(fitness):
            return np.zeros(0, np.intp), np.zeros(0), np.zeros(0, np.intp)
        missing = np.isnan(fitness)
        if not missing.any():
            best = np.argmax(fitness, axis=0)
            value = fitness[best, cells]
            return best, value, np.flatnonzero((value > self.fitness) | ~self.filled)
        best = np.argmax(np.where(missing, -np.inf, fitness), axis=0)
        # where all the others are -inf, an empty cell takes the first of these
        best = np.where(missing[best, cells], np.argmax(~missing, axis=0), best)
        value = fitness[best, cells]
        takes = ~np.isnan(value) & ((value > self.fitness) | ~self.filled)
        return best, value, np.flatnonzero(takes)

    def put(
        self, class_index: int, holder: Individual, fitness: float, log_odds: float, won: bool
    ) -> None:
        """Set one cell to what was stored; raises ``KeyError`` for a class without a cell."""
        k = self.position(class_index)
        if k >= len(self.cells) or self.cells[k] != class_index:
            raise KeyError(class_index)
        self.holders[k] = holder
        self.filled[k] = True
        self.fitness[k], self.log_odds[k], self.won[k] = fitness, log_odds, won

    def position(self, class_index: int) -> int:
        """The position of a class in `cells`."""
        return int(np.searchsorted(self.cells, class_index))

    def parents(self) -> Parents:
        """The elites as they are now, to breed from."""
        return Parents(self.cells, tuple(self.holders), self.log_odds.copy())

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(K,), the confidence of each elite in its class, 0 in an empty cell."""
        return sigmoid(self.log_odds)
