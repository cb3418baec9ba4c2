"""Other processes that do works: what the runner asks of them, whatever starts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from evofool.errors import EvofoolError
from evofool.experiments.engine.work import Artifact, Chunk, Row, Work
from evofool.store.records.works import StoredRow

if TYPE_CHECKING:
    from evofool.experiments.engine.context import Context
    from evofool.experiments.engine.plan import Planned


class LostError(EvofoolError):
    """The process that did a work is gone; the work may be done again."""


@dataclass(frozen=True)
class Begun:
    """A work has found a process: from now on its seconds count."""


class Elsewhere(Protocol):
    """Processes that do works, one at a time each, and store nothing."""

    def takes(self, work: Work) -> bool:
        """Whether a work can be sent; what cannot is done in the driver."""
        ...

    def run(
        self, planned: Planned, context: Context
    ) -> Iterator[Begun | Row | StoredRow | Artifact | Chunk]:
        """What a work yields there, in its order; asked in a thread of its own.

        What it made lies in its place before an artifact is yielded, and `context` knows its costs,
        notes and reads before anything is.

        Args:
            planned: the work, all of whose needs are finished.
            context: of it here.

        Raises:
            LostError: the process is gone.
            ClusterLostError: all processes are.
            EvofoolError: what the work raised.
        """
        ...

    def stop(self) -> None:
        """Ask all works to stop and save; may be called again and again."""
        ...
