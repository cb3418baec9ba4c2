"""The victim of a run, asked once more: a service's pictures are booked in that run's ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evofool.config import Loaded
from evofool.scoring import Heading, Scorer
from evofool.scoring.setup import make_victim
from evofool.scoring.verifying import book_verifying
from evofool.store import Folder


@dataclass(frozen=True)
class StoredVictim:
    """The victim that a run folder names.

    Attributes:
        run: its folder, open for as long as the victim is asked.
        load: gives the run's config, where the victim's code is what it was; nothing is run yet.
        shipped: whether the victim is one of ours, so that loading it runs nobody's code and costs
            no queries.
    """

    run: Folder
    load: Callable[[], Loaded[Any]]
    shipped: bool

    def scorer(self) -> Scorer:
        """A scorer of the victim; loading it may run code of whoever wrote the run folder.

        What a service is sent is booked under ``verify`` and counts in the run's budget, and its
        answers are kept, if the folder can be written. Else the budget holds for this scorer alone.

        Raises:
            ConfigError: the victim cannot be had.
            FolderError: the run's config was edited, or its code is not what it was.
            BudgetError: the run's budget does not cover the pictures of the victim's probe.
            StoreError: bookings or answers cannot be stored.
        """
        loaded, run = self.load(), self.run
        budget = loaded.config.scoring.budget
        store = run.bookings if run.can_book else None
        charged = 0 if store is None else store.charge_probe(budget)
        victim = make_victim(loaded)
        scorer = Scorer(victim, budget=budget if victim.metered else None)
        scorer.ledger.sent[Heading.PROBE] = victim.probed
        book_verifying(scorer, store, run.sent(), charged)
        return scorer
