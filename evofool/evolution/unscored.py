"""Pictures that the victim gave no usable scores for (NaN): counted by generation, and reported."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from evofool.store import GenerationRow

KEY = "unscored"
"""In the statistics of a generation that had any."""


class Unscored:
    """The count of one campaign, over resumes."""

    def __init__(self, victim: str) -> None:
        self._victim = victim
        self._count = 0
        self._warned = False

    def restore(self, rows: Sequence[GenerationRow]) -> int:
        """Take up the counts of stored generations; returns their sum."""
        counts = [row.stats.get(KEY, 0) for row in rows]
        self._count = sum(count for count in counts if isinstance(count, int) and count > 0)
        return self._count

    def since(self, total: int, generation: int) -> dict[str, int]:
        """What a generation adds to its statistics; a warning the first time in a process."""
        new, self._count = total - self._count, total
        if not new:
            return {}
        if not self._warned:
            self._warned = True
            logging.getLogger("evofool").warning(
                "%s gave non-finite scores for %d of the pictures of generation %d; such"
                " pictures win nothing, and are counted as unscored",
                self._victim, new, generation,
            )  # fmt: skip
        return {KEY: new}
