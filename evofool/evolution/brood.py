"""Children that are bred together, a micro-batch at a time, by whoever wants their genomes first.

That is as a rule a worker of the scorer, so that breeding takes as many cores as scoring does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evofool.encodings import BatchEncoding, Encoding
from evofool.errors import ScoringError
from evofool.evolution.archive import Pick
from evofool.evolution.guarded import explained
from evofool.evolution.individual import Individual
from evofool.evolution.randomness import Stream
from evofool.randomness import Generators
from evofool.store import IndividualId


class Brood:
    """A generation of children by an encoding that varies many genomes in one call.

    They come out as by the encoding's ``mate`` and ``mutate``, in whatever groups they are bred.

    Args:
        encoding: what varies them.
        seed: of the campaign.
        generation: their number.
        pairs: the parents of children 2 k and 2 k + 1, and the classes of their cells.
    """

    def __init__(
        self,
        encoding: BatchEncoding[Any],
        seed: int,
        generation: int,
        pairs: Sequence[tuple[Pick, Pick]],
    ) -> None:
        self._encoding = encoding
        self._seed = seed
        self._generation = generation
        self._pairs = pairs

    def individuals(self, count: int) -> Iterator[Individual]:
        """The first `count` children, without genomes until these are asked for."""
        generation = self._generation
        return (
            Individual(None, IndividualId(generation, child), (), (), self)
            for child in range(count)
        )

    def settle(self, individual: Individual) -> None:
        """Breed one of them alone."""
        self._bred([individual]).settle(individual)

    def grow(self, individuals: Sequence[Individual]) -> Sequence[Any]:
        """The genomes of some of them, bred together."""
        litter = self._bred(individuals)
        for individual in individuals:
            individual.source = litter
        return litter.genomes

    def _bred(self, individuals: Sequence[Individual]) -> _Litter:
        children = [individual.id.child for individual in individuals]
        numbers = sorted({child // 2 for child in children})
        pairs = [self._pairs[number] for number in numbers]
        firsts = [first.genome for (first, _), _ in pairs]
        seconds = [second.genome for _, (second, _) in pairs]
        mating = Generators(self._seed, Stream.MATE, self._generation, numbers)
        mated = self._encoding.mate_many(firsts, seconds, mating)
        whole = self._whole("mate_many", mated, numbers)
        mates = dict(zip(numbers, zip(whole, firsts, seconds, strict=True), strict=True))
        genomes, plain = [], set()
        for child in children:
            crossed, first, second = mates[child // 2]
            genome, parent = (crossed[1], second) if child % 2 else (crossed[0], first)
            genomes.append(genome)
            if genome is parent:  # no crossover took place
                plain.add(child)
        mutating = Generators(self._seed, Stream.MUTATE, self._generation, children)
        bred = self._encoding.mutate_many(genomes, mutating, self._generation)
        return _Litter(self._whole("mutate_many", bred, children), children, plain, self._pairs)

    def _whole(self, method: str, made: Sequence[Any], wanted: Sequence[int]) -> Sequence[Any]:
        if not isinstance(made, Sequence):
            raise ScoringError(
                f"{method} of the encoding returned a {type(made).__name__}, but must return a"
                " sequence"
            )
        if len(made) != len(wanted):
            raise ScoringError(
                f"{method} of the encoding returned {len(made)} results, but must return"
                f" {len(wanted)}"
            )
        return made


class _Litter:
    """Children that have been bred, whose genomes are taken out of their sequence on demand."""

    def __init__(
        self,
        genomes: Sequence[Any],
        children: Sequence[int],
        plain: set[int],
        pairs: Sequence[tuple[Pick, Pick]],
    ) -> None:
        self.genomes = genomes
        self._rows = {child: row for row, child in enumerate(children)}
        self._plain = plain
        self._pairs = pairs

    def settle(self, individual: Individual) -> None:
        child = individual.id.child
        chosen: Sequence[Pick] = self._pairs[child // 2]
        if child in self._plain:
            chosen = chosen[child % 2 : child % 2 + 1]
        taken = explained(self.genomes.__getitem__, "the encoding failed to mutate", False)
        individual.become(
            taken(self._rows[child]),
            tuple(parent.id for parent, _ in chosen),
            tuple(cell for _, cell in chosen),
        )


def breeds_together(encoding: Encoding[Any]) -> bool:
    """Whether an encoding's batch methods do what its ``mutate`` and ``mate`` do: a subclass that
    has one of these of its own, and not the batch method to it, means its own."""
    return all(
        _depth(encoding, many) <= _depth(encoding, one)
        for many, one in (("mutate_many", "mutate"), ("mate_many", "mate"))
    )


def _depth(encoding: Encoding[Any], name: str) -> int:
    """How far up the classes of an encoding a method is defined; -1 if on the object itself."""
    method = getattr(encoding, name, None)
    bound = method if hasattr(method, "__self__") else getattr(method, "__wrapped__", None)
    classes = type(getattr(bound, "__self__", None)).__mro__
    return next((k for k, each in enumerate(classes) if name in vars(each)), -1)


def genomes_of(individuals: Sequence[Individual]) -> Sequence[Any]:
    """The genomes of `individuals`; those that are still to be bred are bred together."""
    broods = {id(each.source): each.source for each in individuals}
    together = [source for source in broods.values() if isinstance(source, Brood)]
    for brood in together:
        litter = [each for each in individuals if each.source is brood]
        if len(litter) == len(individuals):
            return brood.grow(litter)
        brood.grow(litter)
    return [individual.genome for individual in individuals]
