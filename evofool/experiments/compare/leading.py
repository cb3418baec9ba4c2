"""Which methods stand for all: one or two of each kind, for the pictures and plots that come first.

Of several that fill one place, that with the highest median log-odds at the end stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evofool.experiments.compare.measures import MethodResults

Wanted = Callable[[MethodResults], bool]
FAMILIES = ("evolution", "gradients", "queries", "chance", "natural")
"""Kinds of methods, in the order in which they are shown."""
ENCODINGS = 2
"""Evolutions that are shown, each with an encoding of its own."""


def best(outcomes: Sequence[MethodResults], wanted: Wanted) -> MethodResults | None:
    """The method with the highest median log-odds of those that are `wanted`; None of none.

    Of methods that are after different classes only those that are after most of them count.
    """
    some = [one for one in outcomes if wanted(one)]
    return max(some, key=lambda one: (int(one.sought.sum()), one.typical), default=None)


def evolutions(outcomes: Sequence[MethodResults]) -> list[MethodResults]:
    """At most two evolutions, in the order of the config."""
    own = [one for one in outcomes if one.arm.family == "evolution"]
    if len(own) > ENCODINGS:
        kept = sorted(own, key=lambda one: -one.typical)[:ENCODINGS]
        own = [one for one in own if any(one is each for each in kept)]
    return own


def of_each_kind(outcomes: Sequence[MethodResults]) -> list[MethodResults]:
    """The evolutions, then the best of the gradients, of the queries, of chance and of nature."""
    rest = (
        best(outcomes, lambda one, family=family: one.arm.family == family)  # type: ignore[misc]
        for family in FAMILIES[1:]
    )
    return [*evolutions(outcomes), *(one for one in rest if one is not None)]


def side_by_side(outcomes: Sequence[MethodResults], natural: bool = True) -> list[MethodResults]:
    """Whose pictures are shown in a row: evolutions, ascent, PGD, queries, chance, natural ones.

    Args:
        outcomes: of all methods of a net.
        natural: whether natural pictures may be shown.
    """

    def attack(name: str) -> Wanted:
        return lambda one: one.arm.by == name

    chosen = evolutions(outcomes)
    ascent, pgd = best(outcomes, attack("gradient-ascent")), best(outcomes, attack("pgd"))
    if ascent is None and pgd is None:
        ascent = best(outcomes, lambda one: one.arm.family == "gradients")
    square = best(outcomes, attack("square"))
    queries = square or best(outcomes, lambda one: one.arm.family == "queries")
    chance = best(outcomes, lambda one: one.arm.by == "random") or best(
        outcomes, lambda one: one.arm.family == "chance"
    )
    nature = best(outcomes, lambda one: one.arm.family == "natural") if natural else None
    rest = (ascent, pgd, queries, chance, nature)
    return [*chosen, *(one for one in rest if one is not None)]


def some_classes(count: int, most: int) -> list[int]:
    """At most `most` of `count` classes, evenly spread, so that none is picked for its looks."""
    if count <= most:
        return list(range(count))
    return [round(k * (count - 1) / (most - 1)) for k in range(most)]
