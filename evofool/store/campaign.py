"""The run folder of a campaign: generations, lineage, wins, elites and their genomes.

Files are named after class indices, never after labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evofool.errors import DamagedError, StoreError
from evofool.store.files import json_object
from evofool.store.folder import Folder
from evofool.store.records.lineage import (
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
    columns,
    individual_row,
)


@dataclass(frozen=True)
class Archive:
    """What ``run.sqlite`` holds of a champion archive."""

    elites: tuple[EliteRow, ...]
    holders: Mapping[IndividualId, IndividualRow]


class CampaignFolder(Folder):
    """One campaign on disk."""

    KIND = "evolve"

    def commit(self, delta: Delta) -> None:
        """Write `delta` in one transaction: after a kill, all of it is there or none.

        Genomes that no cell holds any longer are freed in the same transaction.
        """
        individuals = (
            (i.id.generation, i.id.child, _join(i.parents), _join(i.parent_cells), i.sha256,
             i.genome)
            for i in delta.individuals
        )  # fmt: skip
        wins = [
            (w.id.generation, w.id.child, w.class_index, w.log_odds, w.confidence,
             "" if w.replaced is None else str(w.replaced))
            for w in delta.wins
        ]  # fmt: skip
        elites = [
            (e.class_index, e.id.generation, e.id.child, e.fitness, e.log_odds, e.confidence,
             int(e.won))
            for e in delta.elites.values()
        ]  # fmt: skip
        generations = [
            (g.generation, g.evaluations, g.forward_images, g.batch, g.seconds,
             json.dumps(g.stats))
            for g in delta.generations
        ]  # fmt: skip
        with self._transaction():
            many = self._db.executemany
            many("INSERT OR REPLACE INTO individuals VALUES (?, ?, ?, ?, ?, ?)", individuals)
            many("INSERT OR REPLACE INTO wins VALUES (?, ?, ?, ?, ?, ?)", wins)
            many("INSERT OR REPLACE INTO elites VALUES (?, ?, ?, ?, ?, ?, ?)", elites)
            many("INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?, ?)", generations)
            many("INSERT OR REPLACE INTO state VALUES (?, ?)", list(delta.state.items()))
            many("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(delta.meta.items()))
            if elites:
                self._db.execute(
                    "UPDATE individuals SET genome = NULL WHERE genome IS NOT NULL AND"
                    " (generation, idx) NOT IN (SELECT generation, idx FROM elites)"
                )

    def generations(self) -> list[GenerationRow]:
        """All stored generations in order."""
        return self._generations("ORDER BY generation")

    def last_generation(self) -> GenerationRow | None:
        """The newest stored generation."""
        return next(iter(self._generations("ORDER BY generation DESC LIMIT 1")), None)

    def archive(self) -> Archive:
        """The elites in the order of their classes, and the individuals that hold the cells."""
        with self.snapshot():
            elites = self.elites()
            holders = {
                row.id: row
                for row in self._individuals("WHERE genome IS NOT NULL ORDER BY generation, idx")
            }
        for elite in elites:
            if elite.id not in holders:
                raise StoreError(f"{self.path}: the genome of elite {elite.id} is missing")
        return Archive(elites, holders)

    def elites(self) -> tuple[EliteRow, ...]:
        """The elites in the order of their classes, without their genomes."""
        return tuple(
            EliteRow(c, IndividualId(g, i), fitness, odds, confidence, bool(won))
            for c, g, i, fitness, odds, confidence, won in self._rows(
                "SELECT class_index, generation, idx, fitness, log_odds, confidence, won"
                " FROM elites ORDER BY class_index",
                columns("class_index", "generation", "idx", "fitness", "log_odds", "confidence",
                        "won"),
            )
        )  # fmt: skip

    def individual(self, id: IndividualId) -> IndividualRow | None:
        """One individual of the lineage, or None if it never won a cell."""
        rows = list(self._individuals("WHERE generation = ? AND idx = ?", tuple(id)))
        return rows[0] if rows else None

    def lineage(self) -> list[IndividualRow]:
        """Every stored individual, oldest first, its genome left out."""
        return list(self._individuals("ORDER BY generation, idx", genome="NULL"))

    def keepers(self) -> set[IndividualId]:
        """Whose genomes are stored."""
        rows = self._rows(
            "SELECT generation, idx FROM individuals WHERE genome IS NOT NULL",
            columns("generation", "idx"),
        )
        return {IndividualId(*row) for row in rows}

    def wins(self) -> list[WinRow]:
        """Every win of a cell, oldest first."""
        return [
            WinRow(IndividualId(g, i), c, odds, confidence,
                   _parse_id(replaced, self.path) if replaced else None)
            for g, i, c, odds, confidence, replaced in self._rows(
                "SELECT generation, idx, class_index, log_odds, confidence, replaced FROM wins"
                " ORDER BY generation, idx, class_index",
                columns("generation", "idx", "class_index", "log_odds", "confidence", "replaced"),
            )
        ]  # fmt: skip

    def state(self) -> dict[str, bytes]:
        """What the algorithm stored beside the archive."""
        return dict(self._rows("SELECT key, value FROM state", (str, bytes)))

    def _generations(self, order: str) -> list[GenerationRow]:
        return [
            GenerationRow(g, evaluations, forward, batch, seconds,
                          json_object(stats, self.path))
            for g, evaluations, forward, batch, seconds, stats in self._rows(
                "SELECT generation, evaluations, forward_images, batch, seconds, stats"
                f" FROM generations {order}",
                columns("generation", "evaluations", "forward_images", "batch", "seconds", "stats"),
            )
        ]  # fmt: skip

    def _individuals(
        self, where: str, values: tuple[int, ...] = (), genome: str = "genome"
    ) -> Iterator[IndividualRow]:
        for g, i, parents, cells, digest, dump in self._rows(
            f"SELECT generation, idx, parents, parent_cells, sha256, {genome}"
            f" FROM individuals {where}",
            columns("generation", "idx", "parents", "parent_cells", "sha256", "genome"),
            values,
        ):
            try:
                yield individual_row(g, i, parents, cells, digest, dump)
            except ValueError as error:
                raise DamagedError(f"{self.path}: damaged lineage of {g}:{i} ({error})") from error


def _join(values: tuple[object, ...]) -> str:
    return " ".join(str(value) for value in values)


def _parse_id(text: str, path: Path) -> IndividualId:
    try:
        return IndividualId.parse(text)
    except ValueError as error:
        raise DamagedError(f"{path}: damaged lineage ({error})") from error
