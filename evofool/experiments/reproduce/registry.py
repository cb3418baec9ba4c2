"""All claims by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from evofool.experiments.reproduce import (
    attacks,
    imagenet_retraining,
    liao2018,
    nguyen2015,
    repetition,
    retraining,
    tramer2018,
)
from evofool.experiments.reproduce.claims import Claim

ALL = "all"
"""Stands for every claim."""
BY_NAME: Mapping[str, Claim] = {
    claim.name: claim
    for module in (
        nguyen2015,
        repetition,
        retraining,
        imagenet_retraining,
        attacks,
        tramer2018,
        liao2018,
    )
    for claim in module.CLAIMS
}


def chosen(names: Sequence[str]) -> tuple[Claim, ...]:
    """The claims of these names, in the order of the suite."""
    return tuple(claim for name, claim in BY_NAME.items() if ALL in names or name in names)


def minutes_of(names: Iterable[str]) -> float:
    """Minutes that claims are planned to take at the small scale, works that they share once."""
    needed: dict[str, None] = {}

    def add(name: str) -> None:
        for other in BY_NAME[name].shares:
            add(other)
        needed[name] = None

    for name in names:
        add(name)
    return sum(BY_NAME[name].minutes for name in needed)
