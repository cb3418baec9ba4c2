"""The counts of a Scorer: queries, images sent through the net, and what is left of the budget."""

from __future__ import annotations

import threading
from collections.abc import Callable

from evofool.errors import BudgetError, UsageError
from evofool.scoring.ledger import Heading, Ledger


class Counting:
    """The counts of a `Scorer`.

    Attributes:
        queries: images submitted so far: what the budget limits.
        ledger: pictures sent so far, by heading, each booked before it is sent.
        heading: what pictures are booked under; those for `Heading.VERIFY` are no queries.
        forward_images: images that went forward through a net, with crops, padding and retries; an
            image that is shown to an ensemble counts once for each member.
        backward_images: images that gradients were taken of, with crops and members likewise.
    """

    def __init__(
        self, metered: bool, budget: int | None, before: Callable[[int], None] | None
    ) -> None:
        if budget is not None and budget < 0:
            raise UsageError("scoring.budget must not be negative")
        self.ledger = Ledger(metered=metered, budget=budget)
        self.heading = Heading.QUERIES
        self.queries = 0
        self.forward_images = 0
        self.backward_images = 0
        self._before = before
        self._lock = threading.Lock()

    @property
    def budget(self) -> int | None:
        """Most images that are answered, or None."""
        return self.ledger.budget

    @budget.setter
    def budget(self, budget: int | None) -> None:
        self.ledger.budget = budget

    @property
    def left(self) -> int | None:
        """Images that the budget still has, or None without one."""
        if self.budget is None:
            return None
        return max(0, self.budget - self.queries - self.ledger.beside)

    def again_from(self, queries: int) -> None:
        """Discard all queries after the first `queries`; they will be made again.

        It is called when no micro-batch is being scored. An image that is scored again remains one
        query; what was sent for it the first time is booked as retries.
        """
        self.queries = queries
        self.ledger.settle(queries)

    def _spend(self, n: int, heading: Heading | None = None) -> None:
        """The gate of a request: what it raises means that nothing of it is sent."""
        if self._before is not None:
            self._before(n)
        heading = heading or self.heading
        # where answers are kept, the ledger looks at each request: some images need none
        anew = self.ledger.metered and not self.ledger.keeping
        with self._lock:
            if heading == Heading.QUERIES or anew:
                self._check_budget(n)
            if heading == Heading.QUERIES:
                self.queries += n

    def _check_budget(self, n: int) -> None:
        spent = self.queries + self.ledger.beside
        if self.budget is not None and spent + n > self.budget:
            raise BudgetError.of(self.budget, spent, n)
