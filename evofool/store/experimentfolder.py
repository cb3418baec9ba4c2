"""What run folders of experiments have in common: their kind, status, active seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from evofool.errors import FolderError, StoreError
from evofool.store.runfolder import RunFolder


class ExperimentFolder(RunFolder):
    """One experiment on disk; a subclass says of which `KIND`."""

    KIND: ClassVar[str]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.manifest.get("kind") != self.KIND:
            self._db.close()  # the lock is for whoever took it
            raise FolderError(
                f"{self.path}: holds a run of kind {self.manifest.get('kind')!r}, not {self.KIND}"
            )

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Write status and the like."""
        with self._errors(), self._db:
            self._meta(values)

    def seconds(self) -> float:
        """Active seconds up to the last transaction.

        Raises:
            StoreError: damaged.
        """
        text = self.meta().get("seconds", "0")
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not (math.isfinite(found) and found >= 0):
            raise StoreError(f"{self.path}: its seconds are damaged")
        return found

    def _meta(self, values: Mapping[str, str]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))
