"""The rows of a reproduction, before and after their works are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from evofool.experiments.engine import Planned, Results
from evofool.experiments.engine.results import everything_below
from evofool.experiments.reproduce.claims import Claim, Measured
from evofool.experiments.reproduce.registry import minutes_of
from evofool.store.records.works import Cost


@dataclass(frozen=True)
class PlannedClaim:
    """A claim in a reproduction.

    Attributes:
        claim: what is claimed.
        works: what has to be found out; empty where something is missing.
        missing: what is not on this machine and how to get it; empty where nothing is missing.
    """

    claim: Claim
    works: tuple[Planned, ...]
    missing: str = ""


@dataclass(frozen=True)
class Outcome:
    """A row once its works are done.

    Attributes:
        row: the claim.
        measured: None where something was missing.
        cost: of all its works.
        own_seconds: of those of its works that no row before it has.
    """

    row: PlannedClaim
    measured: Measured | None
    cost: Cost
    own_seconds: float


def own_seconds(rows: Sequence[PlannedClaim], results: Results) -> list[float]:
    """What each row took beyond the works of the rows before it."""
    seen: set[str] = set()
    seconds = []
    for row in rows:
        works = {
            work.address: work
            for planned in row.works
            for work in (planned.work, *everything_below(planned.work))
        }
        own = [work for address, work in works.items() if address not in seen]
        seconds.append(sum(results.cost(work).seconds for work in own))
        seen |= works.keys()
    return seconds


def planned_minutes(rows: Sequence[PlannedClaim]) -> list[float]:
    """What each row is planned to take at the small scale, beyond the rows before it.

    Nothing is done for one that lacks something.
    """
    sums = [
        minutes_of(row.claim.name for row in rows[:n] if not row.missing)
        for n in range(len(rows) + 1)
    ]
    return [after - before for before, after in pairwise(sums)]
