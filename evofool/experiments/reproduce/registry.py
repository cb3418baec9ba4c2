"""All claims by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evofool.experiments.reproduce import attacks, nguyen2015, repetition
from evofool.experiments.reproduce.claims import Claim

ALL = "all"
"""Stands for every claim."""
BY_NAME: Mapping[str, Claim] = {
    claim.name: claim for claim in (*nguyen2015.CLAIMS, *repetition.CLAIMS, *attacks.CLAIMS)
}


def chosen(names: Sequence[str]) -> tuple[Claim, ...]:
    """The claims of these names, in the order of the suite."""
    return tuple(claim for name, claim in BY_NAME.items() if ALL in names or name in names)
