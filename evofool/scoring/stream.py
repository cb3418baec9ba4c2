"""Micro-batches that are made, scored and handed back while the caller makes the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from evofool.scoring.devices import Batch
from evofool.scoring.ranking import Scores

Producer: TypeAlias = Callable[[], Batch]
"""Makes the images of one micro-batch, in a worker's thread."""


@dataclass(frozen=True)
class Parcel:
    """What a micro-batch is made of elsewhere: how many images, and what its `Painter` takes."""

    count: int
    content: object


@runtime_checkable
class Portable(Protocol):
    """A producer whose images can also be made elsewhere, of what is small enough to be sent."""

    def __call__(self) -> Batch:
        """The images, made here."""
        ...

    def parcel(self) -> Parcel:
        """What the images are made of, for the `Painter` there; called in a thread."""
        ...

    @property
    def keep(self) -> Callable[[Batch], None] | None:
        """Takes the images that were made there, if they are wanted here at all."""
        ...


class Painter(Protocol):
    """Gives what makes images of parcels; it is pickled, and called once in each worker."""

    def __call__(self) -> Callable[[Any], Batch]:
        """What makes the images N x C x H x W of a parcel's content."""
        ...


class Elsewhere(Protocol):
    """Workers outside this process that make and score micro-batches.

    Attributes:
        threads: in which parcels are made and answers waited for.
        ahead: micro-batches that are begun before the first of them is waited for.
    """

    threads: Executor
    ahead: int

    def score(
        self,
        parcel: Parcel,
        *,
        batch: int,
        confirming: bool,
        pictures: bool,
        sending: Callable[[bool], None],
    ) -> tuple[Scores, Batch | None]:
        """The scores of a micro-batch, and its images if `pictures` are asked for.

        Args:
            parcel: of a `Portable`.
            batch: of the scorer, see there; what is sent is filled up as there.
            confirming: whether in float32 whatever the precision is.
            pictures: whether the images are wanted.
            sending: called each time just before the micro-batch is sent, when a worker has room
                for it; with True if it was sent before, since a worker was lost.

        Raises:
            OutOfMemory: a worker's device has no room for it.
            ScoringError: the victim failed, or no worker is left.
        """
        ...


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
