"""The run folder of kind defend: threats and diagnostics in ``run.sqlite``."""

from __future__ import annotations

import math
from collections.abc import Iterable

from evofool.errors import StoreError
from evofool.store.defend_schema import (
    DECLINED,
    RIGHT,
    WRONG,
    DiagnosticRow,
    ThreatRow,
)
from evofool.store.folder import Folder

_THREAT = (str, int, str, str, str, int, int, float, str)
_LETTERS = frozenset((RIGHT, WRONG, DECLINED))


class DefendFolder(Folder):
    """One evaluation of a defense on disk."""

    KIND = "defend"

    def commit_threat(self, position: int, row: ThreatRow, seconds: float) -> None:
        """Write the threat number `position` of a net, in one transaction.

        Args:
            position: in the order in which the threats to a net are run.
            row: what it came to.
            seconds: active seconds of the whole run so far.
        """
        values = (
            row.net, position, row.threat, row.group, row.outcomes, row.queries,
            row.backward_images, row.seconds, row.detail,
        )  # fmt: skip
        with self._errors(), self._db:
            self._db.execute("INSERT INTO threats VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            self._meta({"seconds": repr(seconds)})

    def commit_diagnostics(self, rows: Iterable[DiagnosticRow], seconds: float) -> None:
        """Write all diagnostics, in one transaction; those of before give way."""
        values = [(row.key, row.value, row.detail) for row in rows]
        with self._errors(), self._db:
            self._db.execute("DELETE FROM diagnostics")
            self._db.executemany("INSERT INTO diagnostics VALUES (?, ?, ?)", values)
            self._meta({"seconds": repr(seconds)})

    def threats(self, net: str) -> list[ThreatRow]:
        """The threats to a net that have been run, in order, checked to be 0, 1, 2...

        Raises:
            StoreError: damaged.
        """
        found: list[ThreatRow] = []
        rows = self._rows(
            "SELECT net, position, threat, grp, outcomes, queries, backward_images, seconds,"
            " detail FROM threats ORDER BY net, position",
            _THREAT,
        )
        for name, position, threat, group, outcomes, queries, backward, seconds, detail in rows:
            if name != net:
                continue
            sane = (
                position == len(found)
                and outcomes
                and set(outcomes) <= _LETTERS
                and min(queries, backward) >= 0
                and math.isfinite(seconds)
            )
            if not sane:
                raise StoreError(f"{self.path}: threat {position} to the {net} net is damaged")
            found.append(
                ThreatRow(name, threat, group, outcomes, queries, backward, seconds, detail)
            )
        return found

    def diagnostics(self) -> list[DiagnosticRow]:
        """The diagnostics in the order of their keys; empty before they were measured.

        Raises:
            StoreError: damaged.
        """
        found = [
            DiagnosticRow(*row)
            for row in self._rows(
                "SELECT key, value, detail FROM diagnostics ORDER BY key",
                (str, (float, type(None)), str),
            )
        ]
        for row in found:
            if row.value is not None and not math.isfinite(row.value):
                raise StoreError(f"{self.path}: diagnostic {row.key} is damaged")
        return found
