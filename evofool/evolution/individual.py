"""Individuals: an ordinary class with a DEAP fitness, cheap to clone since genomes never change."""

from __future__ import annotations

from typing import Any, Protocol

from deap import base

from evofool.store import IndividualId


class ConfidenceFitness(base.Fitness):  # type: ignore[misc]  # deap is untyped
    """What DEAP's operators compare: one value, to be maximised."""

    weights = (1.0,)


class Source(Protocol):
    """Where the genome of an individual is that has none of its own yet."""

    def settle(self, individual: Individual) -> None:
        """Give it its genome and its parents, by `Individual.become`; any thread may ask for it,
        and two at once."""
        ...


class Individual:
    """A genome and where it came from.

    Attributes:
        id: generation and child.
        source: what makes the genome when it is asked for, None once it is there.
    """

    __slots__ = ("_fitness", "_genome", "_parent_cells", "_parents", "id", "source")

    def __init__(
        self,
        genome: Any,
        id: IndividualId,
        parents: tuple[IndividualId, ...] = (),
        parent_cells: tuple[int, ...] = (),
        source: Source | None = None,
    ) -> None:
        self._genome = genome
        self.id = id
        self._parents = parents
        self._parent_cells = parent_cells
        self.source = source
        self._fitness: ConfidenceFitness | None = None

    @property
    def genome(self) -> Any:
        """Whatever the encoding makes; operators never change one."""
        self._settle()
        return self._genome

    @property
    def parents(self) -> tuple[IndividualId, ...]:
        """Of which it was made; none for the initial population."""
        self._settle()
        return self._parents

    @property
    def parent_cells(self) -> tuple[int, ...]:
        """The class whose cell each parent was drawn from (all classes' campaigns)."""
        self._settle()
        return self._parent_cells

    @property
    def fitness(self) -> ConfidenceFitness:
        """DEAP's; empty until evaluated."""
        if self._fitness is None:
            self._fitness = ConfidenceFitness()
        return self._fitness

    def become(
        self, genome: Any, parents: tuple[IndividualId, ...], parent_cells: tuple[int, ...]
    ) -> None:
        """What its source has made of it."""
        self._genome, self._parents, self._parent_cells = genome, parents, parent_cells
        self.source = None

    def clone(self) -> Individual:
        """A copy with its own fitness, which shares the genome."""
        copy = Individual(self.genome, self.id, self.parents, self.parent_cells)
        if self.fitness.valid:
            copy.fitness.values = self.fitness.values
        return copy

    def _settle(self) -> None:
        source = self.source
        if source is not None:
            source.settle(self)

    def __repr__(self) -> str:
        return f"Individual({self.id})"
