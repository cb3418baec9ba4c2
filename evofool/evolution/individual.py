"""Individuals: an ordinary class with a DEAP fitness, cheap to clone since genomes never change."""

from __future__ import annotations

from typing import Any

from deap import base

from evofool.store import IndividualId


class ConfidenceFitness(base.Fitness):  # type: ignore[misc]  # deap is untyped
    """What DEAP's operators compare: one value, to be maximised."""

    weights = (1.0,)


class Individual:
    """A genome and where it came from.

    Attributes:
        genome: whatever the encoding makes; operators never change one.
        id: generation and child.
        parents: of which it was made; none for the initial population.
        parent_cells: the class whose cell each parent was drawn from (all classes' campaigns).
        fitness: DEAP's; empty until evaluated.
    """

    __slots__ = ("fitness", "genome", "id", "parent_cells", "parents")

    def __init__(
        self,
        genome: Any,
        id: IndividualId,
        parents: tuple[IndividualId, ...] = (),
        parent_cells: tuple[int, ...] = (),
    ) -> None:
        self.genome = genome
        self.id = id
        self.parents = parents
        self.parent_cells = parent_cells
        self.fitness = ConfidenceFitness()

    def clone(self) -> Individual:
        """A copy with its own fitness, which shares the genome."""
        copy = Individual(self.genome, self.id, self.parents, self.parent_cells)
        if self.fitness.valid:
            copy.fitness.values = self.fitness.values
        return copy

    def __repr__(self) -> str:
        return f"Individual({self.id})"
