"""The champion archive: one cell for each class, and every child competes for every cell.

It is that of Nguyen et al. 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evofool.evolution.individual import Individual
from evofool.scoring import Matrix, Scores, fitness_of, sigmoid
from evofool.scoring.ranking import Fitness


@dataclass(frozen=True)
class Win:
    """One cell that changed hands.

    Attributes:
        individual: the new elite.
        class_index: the class of the cell.
        replaced: who held it before, None where it was empty (`new`).
        gain: by how much fitness rose (infinite for a new cell).
        log_odds: of the class, for the new elite.
        switched: goal switching: its parents were drawn from cells of other classes only.
    """

    individual: Individual
    class_index: int
    replaced: Individual | None
    gain: float
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
    """

    def __init__(self, cells: NDArray[np.int64], holders: Sequence[Individual | None]) -> None:
        self.cells = cells
        self.holders = holders
        self._filled = [k for k, holder in enumerate(holders) if holder is not None]

    def pick(self, rng: np.random.Generator) -> tuple[Individual, int]:
        """An elite drawn uniformly over filled cells, and the class of the cell.

        An elite in k cells is k times as likely, as in the published code.
        """
        k = self._filled[int(rng.integers(len(self._filled)))]
        holder = self.holders[k]
        assert holder is not None
        return holder, int(self.cells[k])


class ChampionArchive:
    """K cells, one for each of the classes `cells`, which holds the individual of highest fitness.

    A child replaces an elite by strictly higher fitness only; among children that tie, the first
    wins. A child may win several cells, which then share one object.

    Attributes:
        cells: (K,), class indices, ascending.
        fitness, log_odds: (K,), of each elite for its class; -inf in an empty cell.
        filled: (K,), whether the cell has an elite (the first child fills them all).
        won: (K,), whether the elite's top-1 class is the cell's own.
        holders: K elites, None in an empty cell.
    """

    def __init__(self, cells: Sequence[int], fitness: Fitness) -> None:
        self.cells: NDArray[np.int64] = np.asarray(cells, dtype=np.int64)
        self.kind: Fitness = fitness
        self.fitness: NDArray[np.float64] = np.full(len(self.cells), -np.inf)
        self.log_odds: NDArray[np.float64] = np.full(len(self.cells), -np.inf)
        self.won: NDArray[np.bool_] = np.zeros(len(self.cells), dtype=np.bool_)
        self.filled: NDArray[np.bool_] = np.zeros(len(self.cells), dtype=np.bool_)
        self.holders: list[Individual | None] = [None] * len(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def contenders(self, scores: Scores) -> list[int]:
        """Rows of the children that would win a cell, if `scores` were to be trusted; ascending.

        Children without scores are among them: a lower precision may lack what float32 has.
        """
        _, fitness = self._ranked(scores)
        unscored = np.flatnonzero(~scores.scored).tolist()
        if len(unscored) == len(fitness):
            return unscored
        best, _, changed = self._contest(fitness, scores.scored)
        return sorted({*best[changed].tolist(), *unscored})

    def add(self, children: Sequence[Individual], scores: Scores) -> tuple[list[Win], Matrix]:
        """Offer `children` to every cell; what changed, and their N x K fitness.

        A child without scores wins nothing, not even an empty cell, and its fitness is -inf.
        """
        odds, fitness = self._ranked(scores)
        if not scores.scored.any():
            return [], fitness
        best, value, changed = self._contest(fitness, scores.scored)
        with np.errstate(invalid="ignore"):  # -inf over an empty cell
            gain = np.where(self.filled, value - self.fitness, np.inf)
        top = scores.labels
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
                    float(odds[best[k], k]),
                    bool(child.parent_cells) and class_index not in child.parent_cells,
                )
            )
            self.holders[k] = child
        self.filled[changed] = True
        self.fitness[changed] = value[changed]
        self.log_odds[changed] = odds[best[changed], changed]
        self.won[changed] = top[best[changed]] == self.cells[changed]
        return wins, fitness

    def _ranked(self, scores: Scores) -> tuple[Matrix, Matrix]:
        """Log-odds and fitness of the cells' classes, each N x K."""
        odds = scores.log_odds
        if len(self.cells) != odds.shape[1]:
            odds = odds[:, self.cells]
        fitness = fitness_of(odds, self.kind)
        # a NaN compares greater than anything, in argmax and in DEAP
        return odds, np.where(scores.scored[:, None], fitness, -np.inf)

    def _contest(
        self, fitness: Matrix, scored: NDArray[np.bool_]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
        """Of each cell the best scored row and its fitness; and the cells that it would take."""
        if scored.all():
            best = np.argmax(fitness, axis=0)
        else:  # an empty cell takes a scored child whose fitness is -inf too
            rows = np.flatnonzero(scored)
            best = rows[np.argmax(fitness[rows], axis=0)]
        value = fitness[best, np.arange(len(self.cells))]
        return best, value, np.flatnonzero((value > self.fitness) | ~self.filled)

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
        return Parents(self.cells, tuple(self.holders))

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(K,), the confidence of each elite in its class, 0 in an empty cell."""
        return sigmoid(self.log_odds)
