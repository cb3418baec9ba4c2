"""Whether the tables of a campaign agree with each other.

Every generation is a row of counts and statistics, every change of a cell is a row of wins. From
the wins alone follows who held which cell after each generation, hence the statistics, the elites,
and which parents the children of the next generation drew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import Classifier
from evofool.config import Campaign, MapElitesConfig, MuPlusLambdaConfig
from evofool.evolution.archive import SELECTIONS, Parents, Select
from evofool.evolution.individual import Individual
from evofool.evolution.outputs import THRESHOLDS
from evofool.evolution.randomness import Stream, generator
from evofool.evolution.refining import refined_pair
from evofool.scoring import Fitness, fitness_of, sigmoid
from evofool.store import EliteRow, GenerationRow, IndividualId, IndividualRow, WinRow

RELATIVE = 1e-9
"""Two figures that one formula gives on two machines differ by less than this, relatively."""


def progress_fault(rows: Sequence[GenerationRow], config: Campaign, classifier: Classifier) -> str:
    """The first count that no campaign of this config could have stored, "" if there is none."""
    rows_each, passes = classifier.rows, classifier.passes
    evolution, batch = config.evolution, config.scoring.batch
    before = GenerationRow(-1, 0, 0, batch, 0.0, {})
    for expected, row in enumerate(rows):
        where = f"generation {row.generation}"
        if row.generation != expected:
            return f"{where} is stored in place of generation {expected}"
        new = row.evaluations - before.evaluations
        most = evolution.children if expected else evolution.initial
        copies = isinstance(evolution, MuPlusLambdaConfig) and expected > 0  # are not scored again
        if not (0 if copies else most) <= new <= most:
            return f"{where}: {new} evaluations instead of {most}"
        if row.batch > before.batch:
            return f"{where}: a batch of {row.batch} after one of {before.batch}"
        forward = row.forward_images - before.forward_images
        if forward < new * passes:
            return f"{where}: {forward} forward images for {new} evaluations"
        step = max(1, row.batch // rows_each)
        padded = -(-new // step) * step * passes
        exact = config.scoring.precision == "float32" and row.batch == before.batch
        # a service is sent no padding (and was by earlier versions)
        wanted = (padded, new * passes) if classifier.metered else (padded,)
        if exact and forward not in wanted:
            return f"{where}: {forward} forward images instead of {padded}"
        if row.seconds < before.seconds:
            return f"{where}: {row.seconds:g} seconds after {before.seconds:g}"
        before = row
    return ""


class History:
    """Who held which cell after each generation, according to the wins.

    Args:
        wins: oldest first.
        cells: (K,), class indices, ascending.
        generations: how many are stored.
        ranking: what ranks, None for a function, which looks at pictures too.
        drawn: whether parents were drawn as the campaign itself draws them.
    """

    def __init__(
        self,
        wins: Iterable[WinRow],
        cells: NDArray[np.int64],
        generations: int,
        ranking: Fitness | None,
        drawn: bool = True,
    ) -> None:
        self.cells = cells
        self._ranking: Fitness | None = ranking
        self._drawn = drawn
        self._position = {int(c): k for k, c in enumerate(cells)}
        self.faults: list[str] = []
        self.wins: list[list[WinRow]] = [[] for _ in range(generations)]
        for generation, group in groupby(wins, lambda win: win.id.generation):
            if generation >= generations:
                self.faults.append(f"wins of generation {generation}, which is not stored")
                continue
            for win in group:
                if win.class_index in self._position:
                    self.wins[generation].append(win)
                else:
                    self.faults.append(f"{win.id} won class {win.class_index}, which has no cell")

    def holders(self, generation: int) -> dict[int, IndividualId]:
        """Who holds each cell after a generation, by class."""
        return {w.class_index: w.id for wins in self.wins[: generation + 1] for w in wins}

    def win_faults(self) -> list[str]:
        """Wins over another holder than there was, or that are no improvement."""
        faults = list(self.faults)
        held: dict[int, WinRow] = {}
        for wins in self.wins:
            taken: set[int] = set()
            for win in wins:
                before = held.get(win.class_index)
                where = f"{win.id} in class {win.class_index}"
                if win.class_index in taken:
                    faults.append(f"{where}: this cell was won twice in one generation")
                taken.add(win.class_index)
                if win.replaced != (None if before is None else before.id):
                    faults.append(f"{where}: replaced {win.replaced}, which did not hold the cell")
                if not same(win.confidence, _confidence(win.log_odds)):
                    faults.append(f"{where}: the confidence of {win.confidence} is not its own")
                if before is not None and not self._better(win, before):
                    faults.append(f"{where}: is not better than {before.id}")
            held.update({win.class_index: win for win in wins})
        return faults

    def statistic_faults(
        self, rows: Sequence[GenerationRow], lineage: Mapping[IndividualId, IndividualRow]
    ) -> list[str]:
        """Statistics of a generation that its wins do not give."""
        faults = []
        confidence = np.zeros(len(self.cells))
        for row, wins in zip(rows, self.wins, strict=True):
            for win in wins:
                confidence[self._position[win.class_index]] = win.confidence
            expected = _statistics(confidence, wins, lineage)
            faults += [
                f"generation {row.generation}: {name} is {row.stats[name]}, not {value:g}"
                for name, value in expected.items()
                if name in row.stats and not same(row.stats[name], value)
            ]
            faults += [
                f"generation {row.generation}: share_{t:g} is not that of its wins"
                for t in THRESHOLDS
                if not _share_fits(row.stats.get(f"share_{t:g}", 0.0), confidence, t)
            ]
            won = row.stats.get("cells_won", 0)
            if not (isinstance(won, int) and 0 <= won <= len(self.cells)):
                faults.append(f"generation {row.generation}: {won} cells won")
        return faults

    def _better(self, win: WinRow, before: WinRow) -> bool:
        """Whether one ranks above the other, as far as their log-odds tell."""
        if self._ranking is None:
            return True
        return _fitness(win.log_odds, self._ranking) > _fitness(before.log_odds, self._ranking)

    def elite_faults(self, elites: Sequence[EliteRow]) -> list[str]:
        """Elites that are not the last winners of their cells."""
        last: dict[int, WinRow] = {}
        for wins in self.wins:
            last.update({win.class_index: win for win in wins})
        faults = [
            f"class {c} has no elite" for c in sorted(last.keys() - {e.class_index for e in elites})
        ]
        for elite in elites:
            where = f"the elite of class {elite.class_index}"
            win = last.get(elite.class_index)
            if win is None or win.id != elite.id:
                faults.append(f"{where} is {elite.id}, which did not win it last")
                continue
            figures = [
                ("log_odds", elite.log_odds, win.log_odds),
                ("confidence", elite.confidence, win.confidence),
            ]
            if self._ranking is not None:
                wanted = _fitness(win.log_odds, self._ranking)
                figures.append(("fitness", elite.fitness, wanted))
            for name, stored, wanted in figures:
                if not same(stored, wanted):
                    faults.append(f"{where}: {name} is {stored}, not {wanted}")
        return faults

    def lineage_faults(
        self,
        lineage: Mapping[IndividualId, IndividualRow],
        keepers: set[IndividualId],
        elites: Sequence[EliteRow],
        config: Campaign,
    ) -> list[str]:
        """Individuals that won nothing, or with parents that their generation did not draw."""
        evolution = config.evolution
        winners = {win.id for wins in self.wins for win in wins}
        faults = [f"{id} won a cell and is not stored" for id in winners - lineage.keys()]
        holding = {elite.id for elite in elites}
        faults += [f"{id} holds a cell without a genome" for id in holding - keepers]
        faults += [f"{id} holds no cell and has a genome" for id in keepers - holding]
        if not isinstance(evolution, MuPlusLambdaConfig):  # there survivors are stored as well
            faults += [f"{id} is stored and won no cell" for id in lineage.keys() - winners]
        for id, row in lineage.items():
            count = evolution.children if id.generation else evolution.initial
            if id.child >= count or id.generation >= len(self.wins):
                faults.append(f"{id} is not one of the individuals that were bred")
            elif not _has_parents_of(row, evolution.algorithm):
                faults.append(f"{id} has parents that {evolution.algorithm} never chooses")
        if not faults and isinstance(evolution, MapElitesConfig) and self._drawn:
            faults = self._draw_faults(lineage, config.seed, evolution)
        return faults

    def _draw_faults(
        self, lineage: Mapping[IndividualId, IndividualRow], seed: int, evolution: MapElitesConfig
    ) -> list[str]:
        """Parents are drawn by (seed, generation, pair) from the holders of a moment."""
        faults = []
        select = SELECTIONS[evolution.parents]
        due: dict[int, list[IndividualRow]] = {}
        for row in lineage.values():
            if row.id.generation:
                due.setdefault(max(0, row.id.generation - 1 - evolution.lag), []).append(row)
        holders: list[Individual | None] = [None] * len(self.cells)
        log_odds = np.full(len(self.cells), -np.inf)
        for generation, wins in enumerate(self.wins):
            for win in wins:
                k = self._position[win.class_index]
                holders[k], log_odds[k] = Individual(None, win.id), win.log_odds
            if generation not in due:
                continue
            drawn_from = Parents(self.cells, holders, log_odds if evolution.refine else None)
            faults += [
                f"{row.id} has parents that its generation did not draw"
                for row in due[generation]
                if (row.parents, row.parent_cells) not in _draws(select, drawn_from, seed, row.id)
            ]
        return faults


def _draws(
    select: Select, parents: Parents, seed: int, id: IndividualId
) -> list[tuple[tuple[IndividualId, ...], tuple[int, ...]]]:
    """The parents of a child and their cells: both of its pair, or its own where none crossed."""
    refined = refined_pair(parents, seed, id.generation, id.child // 2)
    if refined is not None:
        pick, cell = refined[id.child % 2]
        return [((pick.id,), (cell,))]
    rng = generator(seed, Stream.SELECT, id.generation, id.child // 2)
    pair = [select(parents, rng), select(parents, rng)]
    own = [pair[id.child % 2]]
    return [
        (tuple(one.id for one, _ in chosen), tuple(cell for _, cell in chosen))
        for chosen in (pair, own)
    ]


def _has_parents_of(row: IndividualRow, algorithm: str) -> bool:
    """Whether it has as many parents, and as many of their cells, as the algorithm gives."""
    if any(parent.generation >= row.id.generation for parent in row.parents):
        return False
    if row.id.generation == 0 or algorithm == "cma_es":
        return not row.parents and not row.parent_cells
    cells = len(row.parents) if algorithm == "map_elites" else 0
    return bool(row.parents) and len(row.parent_cells) == cells


def _statistics(
    confidence: NDArray[np.float64],
    wins: Sequence[WinRow],
    lineage: Mapping[IndividualId, IndividualRow],
) -> dict[str, float]:
    switched = 0
    for win in wins:
        row = lineage.get(win.id)
        cells = () if row is None else row.parent_cells
        switched += bool(cells) and win.class_index not in cells
    return {
        "median": float(np.median(confidence)),
        "min": float(confidence.min()),
        "max": float(confidence.max()),
        "improved": len(wins),
        "switched": switched,
    }


def _share_fits(share: object, confidence: NDArray[np.float64], threshold: float) -> bool:
    least = float((confidence >= threshold * (1 + RELATIVE)).mean())
    most = float((confidence >= threshold * (1 - RELATIVE)).mean())
    number = isinstance(share, int | float)
    return number and least * (1 - RELATIVE) <= share <= most * (1 + RELATIVE)  # type: ignore[operator]


def same(value: Any, wanted: float) -> bool:
    """Whether `value` equals the number `wanted` up to rounding."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return value == wanted or bool(np.isclose(value, wanted, rtol=RELATIVE, atol=0))


def _confidence(log_odds: float) -> float:
    return float(sigmoid(np.array([log_odds]))[0])


def _fitness(log_odds: float, ranking: Fitness) -> float:
    return float(fitness_of(np.array([log_odds]), ranking)[0])
