"""What was sent to a victim: every picture under one heading, booked before it is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from evofool.errors import BudgetError

AHEAD_SECONDS = 1.0
"""For about so long a net on this machine goes on before the next booking is stored."""


class Heading(StrEnum):
    """Why pictures were sent. Crops and padding are no pictures of their own."""

    PROBE = "probe"
    """When a service was loaded, to see what it answers."""
    QUERIES = "queries"
    """Images that an algorithm or an attack submitted and got scores for."""
    RETRIES = "retries"
    """Sent in vain: before a failure, a kill or a halved batch, after which they are sent again."""
    CONFIRMATIONS = "confirmations"
    """In float32, after a lower precision had screened them."""
    VERIFY = "verify"
    """To a service about pictures that a run has already: by ``verify`` and ``gallery``."""
    CACHED = "cached"
    """Not sent: queries that a service had answered before, whose answers were kept."""


class Store(Protocol):
    """Where bookings outlive the process."""

    def add(self, counts: Mapping[str, int], limit: int | None = None) -> Mapping[str, int]:
        """Add to the counts by heading, in one step; returns all of them.

        Raises:
            BudgetError: the sum would exceed `limit`; nothing is added.
            StoreError: they cannot be stored.
        """
        ...


class Ledger:
    """Counts of pictures by heading.

    Pictures for a service (`metered`) are stored one micro-batch at a time, and the budget holds
    over the sum of all headings. For a net on this machine, which costs nothing, the budget holds
    over queries alone, and counts are stored about once a second, a little ahead of what is sent
    (`settle` corrects them; after a kill they may be too high by one second's pictures).

    Attributes:
        metered: whether the victim is a service.
        budget: most pictures, or None.
        sent: pictures by heading.
        keeping: whether every answer is kept, so that what was answered is never sent in vain.
    """

    def __init__(self, *, metered: bool, budget: int | None = None) -> None:
        self.metered = metered
        self.budget = budget
        self.sent: dict[Heading, int] = dict.fromkeys(Heading, 0)
        self.keeping = False
        self._flying = 0
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._ahead: dict[Heading, int] = dict.fromkeys(Heading, 0)
        self._stored_at = 0.0
        self._since = 0

    @property
    def beside(self) -> int:
        """Pictures that the budget covers beside the queries; those under way are queries yet."""
        if not self.metered:
            return 0
        return self._total() - self.sent[Heading.QUERIES] - self._flying

    def attach(self, store: Store, charged: int = 0) -> None:
        """Add what was sent here to what is stored already, and store all from now on.

        `charged` pictures of the probe are stored already, from before it was made.
        """
        with self._lock:
            here = {str(heading): count for heading, count in self.sent.items() if count}
            self._take(store.add({**here, Heading.PROBE: self.sent[Heading.PROBE] - charged}))
            self._store = store

    def book(self, heading: Heading, count: int) -> None:
        """Book `count` pictures that are about to be sent.

        Raises:
            BudgetError: the service's budget has not so many left; they must not be sent.
            StoreError: the booking cannot be stored; they must not be sent.
        """
        with self._lock:
            if self.metered:
                self._check(count)
            if self._store is None:
                self.sent[heading] += count
            elif self.metered:
                self._take(self._store.add({heading: count}, self.budget))
            else:
                self._book_ahead(self._store, heading, count)

    def keep(self) -> None:
        """From now on every answer is kept."""
        with self._lock:
            self.keeping = True
            if self._store is not None:  # so that whoever reads the counts knows
                self._take(self._store.add({Heading.CACHED: 0}))

    def sending(self, heading: Heading, count: int) -> None:
        """Book a request to a service that is about to be sent: as a retry until it is answered.

        So a kill leaves what was under way among the retries, which it is: sent in vain.

        Raises:
            BudgetError, StoreError: as `book`.
        """
        self.book(Heading.RETRIES if heading == Heading.QUERIES else heading, count)
        if heading == Heading.QUERIES:
            with self._lock:
                self._flying += count

    def failed(self, heading: Heading, count: int) -> None:
        """A request that was sent has got no usable answer."""
        if heading == Heading.QUERIES:
            with self._lock:
                self._flying -= count

    def answered(self, heading: Heading, count: int) -> None:
        """A request that was sent is answered: what was booked as a retry is a query.

        Raises:
            StoreError: that cannot be stored.
        """
        if heading != Heading.QUERIES:
            return
        with self._lock:
            self._flying -= count
            if self._store is not None:
                change: dict[str, int] = {Heading.RETRIES: -count, Heading.QUERIES: count}
                self._take(self._store.add(change))
            else:
                self.sent[Heading.RETRIES] -= count
                self.sent[Heading.QUERIES] += count

    def reused(self, heading: Heading, count: int) -> None:
        """So many queries were answered before; nothing is sent for them.

        Raises:
            StoreError: that cannot be stored.
        """
        if heading != Heading.QUERIES or not count:
            return
        with self._lock:
            if self._store is not None:
                self._take(self._store.add({Heading.CACHED: count}))
            else:
                self.sent[Heading.CACHED] += count

    def settle(self, queries: int) -> None:
        """Books all but the first `queries` queries as retries, since their results were discarded.

        It is called when no picture is being scored. If fewer than `queries` are booked (by a
        version without a ledger), the missing ones are added. Where answers are kept nothing is
        lost: the same pictures will be answered by what is kept.
        """
        if self.keeping:
            return
        with self._lock:
            self._settle(self.sent[Heading.QUERIES] - queries)

    def retry(self, count: int) -> None:
        """`count` of the queries were sent in vain and will be sent again."""
        with self._lock:
            self._settle(count)

    def shown(self) -> dict[str, int]:
        """The counts and their sum, for people and JSON."""
        free = set() if self.keeping or self.sent[Heading.CACHED] else {Heading.CACHED}
        return with_total({str(h): count for h, count in self.sent.items() if h not in free})

    def _settle(self, lost: int) -> None:
        change = {heading: -count for heading, count in self._ahead.items()}
        self._ahead = dict.fromkeys(Heading, 0)
        for heading, count in ((Heading.QUERIES, -lost), (Heading.RETRIES, max(0, lost))):
            change[heading] += count
            self.sent[heading] += count
        if self._store is not None and any(change.values()):
            self._take(self._store.add({str(h): count for h, count in change.items() if count}))

    def _check(self, count: int) -> None:
        total = self._total()
        if self.budget is not None and total + count > self.budget:
            raise BudgetError.of(self.budget, total, count)

    def _total(self) -> int:
        return sum(count for heading, count in self.sent.items() if heading != Heading.CACHED)

    def _take(self, stored: Mapping[str, int]) -> None:
        self.sent = {heading: stored.get(heading, 0) for heading in Heading}

    def _book_ahead(self, store: Store, heading: Heading, count: int) -> None:
        self.sent[heading] += count
        self._since += count
        self._ahead[heading] -= count
        if self._ahead[heading] >= 0:
            return
        now = time.perf_counter()
        rate = self._since / max(now - self._stored_at, 1e-3) if self._stored_at else 0.0
        block = int(rate * AHEAD_SECONDS)
        store.add({heading: block - self._ahead[heading]})
        self._ahead[heading] = block
        self._stored_at, self._since = now, 0


def with_total(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by heading, in the order of the headings, and their sum as ``total``.

    What was answered from what is kept is told where answers are kept, and is no part of the sum.
    """
    sent = {str(h): counts.get(h, 0) for h in Heading if h != Heading.CACHED}
    kept = {str(Heading.CACHED): counts[Heading.CACHED]} if Heading.CACHED in counts else {}
    return {**sent, **kept, "total": sum(sent.values())}


def settled(counts: Mapping[str, int], queries: int, *, going: bool) -> dict[str, int]:
    """Stored counts of a run as `Ledger.shown`, for somebody who only looks at it.

    Of a run that is not `going` on, what was sent for more than the `queries` that are stored was
    sent in vain, as `Ledger.settle` will book it. Counts of a version without a ledger are made up
    for.
    """
    if Heading.CACHED in counts:  # nothing is lost that was answered
        return with_total(counts)
    booked = counts.get(Heading.QUERIES, 0)
    lost = 0 if going else max(0, booked - queries)
    shown = {
        str(Heading.QUERIES): max(booked - lost, queries),
        str(Heading.RETRIES): counts.get(Heading.RETRIES, 0) + lost,
    }
    return with_total({**counts, **shown})
