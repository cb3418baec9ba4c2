"""The run folder of kind retrain: nets and measures in ``run.sqlite``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple

from evofool.errors import StoreError
from evofool.store.folder import Folder
from evofool.store.retrain_schema import RETRAIN_TABLES, MeasureRow, NetRow

_NET = (int, str, int, str, str, int, float)
_MEASURE = (int, str, int, str, str, str, str, int, int)


class RetrainFolder(Folder):
    """One retraining loop on disk."""

    TABLES = RETRAIN_TABLES
    KIND = "retrain"

    def commit_net(self, row: NetRow, seconds: float) -> None:
        """Write that a net is made, after its weights; `seconds` are those of the whole run."""
        with self._errors(), self._db:
            self._db.execute("INSERT INTO nets VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(row))
            self._meta({"seconds": repr(seconds)})

    def commit_measures(self, rows: Sequence[MeasureRow], seconds: float) -> None:
        """Write what was measured together, in one transaction."""
        with self._errors(), self._db:
            self._db.executemany(
                "INSERT INTO measures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [astuple(r) for r in rows],
            )
            self._meta({"seconds": repr(seconds)})

    def nets(self) -> list[NetRow]:
        """The nets that are made, by round.

        Raises:
            StoreError: damaged.
        """
        found = [
            NetRow(*row)
            for row in self._rows(
                "SELECT round, trained_on, seed, file, digest, images, seconds FROM nets"
                " ORDER BY round, trained_on, seed",
                _NET,
            )
        ]
        for row in found:
            if min(row.round, row.images) < 0 or not math.isfinite(row.seconds):
                raise StoreError(f"{self.path}: the net of round {row.round} is damaged")
        return found

    def measures(self) -> list[MeasureRow]:
        """All that was measured, by round.

        Raises:
            StoreError: damaged.
        """
        found = [
            MeasureRow(*row)
            for row in self._rows(
                "SELECT round, trained_on, seed, part, measure, encoding, other, hits, n"
                " FROM measures ORDER BY round, trained_on, seed, part, measure, encoding, other",
                _MEASURE,
            )
        ]
        for row in found:
            if not (row.round >= 0 and 0 <= row.hits <= row.n and row.n):
                raise StoreError(f"{self.path}: {row.measure} of round {row.round} is damaged")
        return found
