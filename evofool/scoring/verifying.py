"""Scoring pictures of a run again: for a service booked and within the budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from evofool.scoring.ledger import Heading, Store
from evofool.scoring.scorer import Scorer
from evofool.scoring.services import Answers


class Bookings(Store, Protocol):
    """Where bookings and answers outlive the process."""

    def answers(self, cache: Path | None = None) -> Answers:
        """Where answers of a service are kept: beside the bookings, or in the folder `cache`.

        Raises:
            StoreError: that cannot be written.
        """
        ...


def book_verifying(
    scorer: Scorer, store: Bookings | None, stored: Mapping[str, int], charged: int
) -> None:
    """Book what `scorer` sends from now on under ``verify`` instead of the run's queries.

    For a net on this machine nothing is stored, and no budget limits how much is scored again.

    Args:
        scorer: of the run's victim.
        store: where the run's pictures are booked, None if its folder cannot be written.
        stored: what is booked already, by heading.
        charged: pictures of the probe among these, from before the victim was loaded.
    """
    scorer.heading = Heading.VERIFY
    ledger = scorer.ledger
    if not ledger.metered:
        return
    if store is not None:
        ledger.attach(store, charged)
        scorer.keep_answers(store.answers)
    else:
        ledger.sent = {h: stored.get(h, 0) + ledger.sent[h] for h in Heading}
    scorer.queries = ledger.sent[Heading.QUERIES]


def beyond_budget(scorer: Scorer, images: int) -> str | None:
    """Why so many images of a run cannot be scored again, or None if they can."""
    left = scorer.left if scorer.ledger.metered else None
    if left is None or left >= images:
        return None
    return (
        f"not scored again: that takes {images:,} pictures, but the budget of {scorer.budget:,}"
        f" has {left:,} left (evofool resume RUN scoring.budget=N raises it)"
    )


def ledger_verdict(stored: Mapping[str, int], queries: int) -> tuple[bool | None, str]:
    """Whether a run has booked at least as many `queries` as its rows add up to, and a message.

    The verdict is None if the run has kept no ledger.
    """
    if Heading.QUERIES not in stored:
        return None, "none was kept by the version that began the run"
    kept = stored.get(Heading.CACHED, 0)
    booked = stored[Heading.QUERIES] + kept
    if booked < queries:
        return False, f"{booked:,} queries are booked, {queries:,} were answered"
    sent = sum(stored.values()) - kept
    if kept:
        return True, f"{sent:,} pictures are booked, {kept:,} of {queries:,} queries were not sent"
    return True, f"{sent:,} pictures are booked, {queries:,} queries among them"
