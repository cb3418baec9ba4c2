"""Micro-batches that are made, scored and handed back while the caller makes the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeAlias

from evofool.scoring.devices import Batch
from evofool.scoring.ranking import Scores

Producer: TypeAlias = Callable[[], Batch]
"""Makes the images of one micro-batch, in a worker's thread."""


class ScoreStream(Iterator[Scores]):
    """The scores of micro-batches that a `Scorer` works on, in the order of their producers.

    Raises (from ``next``):
        OutOfMemory: the caller may `Scorer.halve` and start over, so that no result depends on
            which micro-batches had been scored before; else as `Scorer.score`.
    """

    def __init__(
        self,
        producers: Iterable[Producer],
        submit: Callable[[Producer], Future[Scores]],
        ahead: int,
    ) -> None:
        self._producers = iter(producers)
        self._submit = submit
        self._ahead = ahead
        self._pending: deque[Future[Scores]] = deque()
        self.exhausted = False
        """Whether all producers have been drawn; some of their scores may not be there yet."""

    def fill(self) -> None:
        """Draw producers until enough micro-batches wait for the workers; scores nothing here."""
        try:
            while not self.exhausted and len(self._pending) <= self._ahead:
                producer = next(self._producers, None)
                if producer is None:
                    self.exhausted = True
                else:
                    self._pending.append(self._submit(producer))
        except BaseException:
            self.close()
            raise

    def __next__(self) -> Scores:
        self.fill()
        if not self._pending:
            raise StopIteration
        try:
            return self._pending.popleft().result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Cancel what has not begun and wait for the rest: nothing of this runs on after it."""
        self.exhausted = True
        settle(self._pending)
        self._pending.clear()


def settle(futures: Iterable[Future[Any]]) -> None:
    """Nothing of a call runs on after it: what has not begun is cancelled, the rest waited for."""
    futures = list(futures)
    for future in futures:
        future.cancel()
    wait([future for future in futures if not future.cancelled()])
