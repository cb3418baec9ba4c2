"""The rows of a reproduction, before and after their works are done."""

from __future__ import annotations

from dataclasses import dataclass

from evofool.experiments.engine import Planned
from evofool.experiments.reproduce.claims import Claim, Measured
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
    """A row once its works are done; `measured` is None where something was missing."""

    row: PlannedClaim
    measured: Measured | None
    cost: Cost
