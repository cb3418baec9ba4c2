"""The query budget of a run: how many images each work may send to nets, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evofool.classifiers import Classifier
from evofool.scoring import Scorer
from evofool.scoring.ledger import Heading
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.bookings import Bookings


@dataclass(frozen=True)
class Spending:
    """The budget of a run, shared out to its works before any of them begins.

    Pictures for a service are booked before they are sent, and all of them together never exceed
    the budget. Of a net on this machine only the shares hold.

    Attributes:
        bookings: of the run folder.
        budget: most pictures of the run, or None.
        shares: most queries of a work, by address, over all processes; a work that is not named
            may send what it likes.
        every_net: whether nets on this machine are booked as well.
        verifies: whether works are verified, so that what is sent is no query of theirs.
    """

    bookings: Bookings
    budget: int | None = None
    shares: Mapping[str, int] = field(default_factory=dict)
    every_net: bool = False
    verifies: bool = False

    @classmethod
    def of_verifying(cls, run: ExperimentFolder) -> Spending | None:
        """What `verify` sends to services: booked beside the queries, where it can be written."""
        return cls(run.bookings, verifies=True) if run.can_book else None

    def share(self, address: str) -> int | None:
        """Most queries of a work, or None."""
        return self.shares.get(address)

    def books(self, net: Classifier) -> bool:
        """Whether pictures for `net` are booked."""
        return self.every_net or net.metered

    def attach(self, scorer: Scorer) -> None:
        """Book what `scorer` sends from now on, and keep what a service answers."""
        if self.verifies:
            scorer.heading = Heading.VERIFY
        scorer.ledger.attach(_OfScorer(self.bookings, self.budget))
        scorer.keep_answers(self.bookings.answers)


class _OfScorer:
    """Bookings of a run as a `scoring.ledger.Store` that tells one scorer its own counts alone."""

    def __init__(self, bookings: Bookings, budget: int | None) -> None:
        self._bookings, self._budget = bookings, budget
        self._own: dict[str, int] = {}

    def add(self, counts: Mapping[str, int], limit: int | None = None) -> Mapping[str, int]:
        """Book them for the run, whose budget holds where the scorer has any `limit`."""
        self._bookings.add(counts, None if limit is None else self._budget)
        for heading, count in counts.items():
            self._own[heading] = self._own.get(heading, 0) + count
        return self._own


def settle(run: ExperimentFolder) -> None:
    """Book queries whose answers are not stored under the retries: they will be sent again."""
    sent = run.sent()
    if Heading.CACHED in sent:  # every answer is kept: nothing that was answered is lost
        return
    lost = sent.get(Heading.QUERIES, 0) - queries_of(run)
    if lost > 0:
        run.bookings.add({Heading.QUERIES: -lost, Heading.RETRIES: lost})


def queries_of(run: ExperimentFolder) -> int:
    """Queries of this run, those of rows that were taken over left out."""
    return sum(work.cost.queries for work in run.works().values() if not work.origin)


def equal_shares(total: int, wishes: Mapping[str, int | None]) -> dict[str, int]:
    """`total` shared out: to each the same, or all that it can use where that is less.

    What those that need little leave is shared by the others in the same way (max-min fair
    shares); what all of them leave is added evenly. It depends on nothing but its arguments.

    Args:
        total: at least 0.
        wishes: by name, the most that each can use; None where that is not known.
    """
    shares = dict.fromkeys(wishes, 0)
    open_ = dict(wishes)
    left = total
    while open_:
        level = left // len(open_)
        content = {name: wish for name, wish in open_.items() if wish is not None and wish <= level}
        if not content:
            shares |= dict.fromkeys(open_, level)
            return shares
        for name, wish in content.items():
            shares[name] = wish
            left -= wish
            del open_[name]
    extra = left // max(1, len(shares))
    return {name: share + extra for name, share in shares.items()}
