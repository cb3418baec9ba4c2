"""One class by DEAP's (mu + lambda)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from deap import algorithms, base

from evofool.config import MuPlusLambdaConfig
from evofool.encodings import Encoding
from evofool.errors import DamagedError
from evofool.evolution.arrays import pack, pack_genomes, unpack, unpack_genomes
from evofool.evolution.deap_toolbox import drawing_from
from evofool.evolution.individual import Individual
from evofool.evolution.randomness import draws_for_deap
from evofool.evolution.variation import cross, mutate, sample
from evofool.randomness import rebound
from evofool.store import IndividualId


class MuPlusLambda:
    """One class with DEAP's ``eaMuPlusLambda``; lambda is `children`.

    An encoding without crossover hands its parents back; such a child is mutated instead, so that
    no picture is scored twice.
    """

    def __init__(
        self,
        config: MuPlusLambdaConfig,
        seed: int,
        toolbox: base.Toolbox,
        encoding: Encoding[Any],
    ) -> None:
        self._config = config
        self._seed = seed
        self._encoding = encoding
        self._pure = toolbox
        self._toolbox = base.Toolbox()
        for name in ("evaluate", "map", "clone"):
            self._toolbox.register(name, getattr(toolbox, name))
        self._toolbox.register("mate", self._mate)
        self._toolbox.register("mutate", self._mutate)
        self._population: list[Individual] = []
        self._generation = 0
        self._operation = 0

    def start(self) -> None:
        population = list(sample(self._pure, self._seed, self._config.initial))
        for individual, fitness in zip(population, self._pure.evaluate(population), strict=True):
            individual.fitness.values = fitness
        self._population = population

    def step(self, generation: int, last: bool) -> list[Individual]:
        self._generation, self._operation = generation, 0
        before = {individual.id for individual in self._population}
        draws = draws_for_deap(self._seed, generation)
        vary = rebound(algorithms.varOr, random=draws.python)
        self._toolbox.register("select", drawing_from(self._pure.select, draws))
        rebound(algorithms.eaMuPlusLambda, varOr=vary)(
            self._population,
            self._toolbox,
            mu=self._config.mu,
            lambda_=self._config.children,
            cxpb=self._config.cxpb,
            mutpb=self._config.mutpb,
            ngen=1,
            verbose=False,
        )
        return [each for each in self._population if each.id not in before]

    def state(self) -> dict[str, bytes]:
        # a copy of a survivor stands in the population under the same identity
        members = {each.id: each.genome for each in self._population}
        return {
            "population": pack_genomes(members, self._encoding),
            "order": pack(
                ids=np.array([each.id for each in self._population], dtype=np.int64),
                fitness=np.array([each.fitness.values[0] for each in self._population]),
            ),
        }

    def restore(self, state: dict[str, bytes]) -> None:
        members = unpack_genomes(state, "population", self._encoding)
        order = unpack(state, "order", ("ids", "fitness"))
        population = []
        try:
            for id, fitness in zip(order["ids"].tolist(), order["fitness"].tolist(), strict=True):
                individual = Individual(members[IndividualId(*id)], IndividualId(*id))
                if math.isnan(fitness):  # which compares with nothing
                    raise ValueError(f"the fitness of {individual.id} is not a number")
                individual.fitness.values = (fitness,)
                population.append(individual)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"the stored population is damaged ({error!r})") from error
        self._population = population

    def _next(self) -> int:
        self._operation += 1
        return self._operation - 1

    def _mate(self, first: Individual, second: Individual) -> tuple[Individual, Individual]:
        child = self._next()
        genome, _ = cross(
            self._pure, self._seed, self._generation, child, first.genome, second.genome
        )
        if genome is first.genome:
            return self._mutated(child, first), second
        id = IndividualId(self._generation, child)
        return Individual(genome, id, (first.id, second.id)), second

    def _mutate(self, parent: Individual) -> tuple[Individual]:
        return (self._mutated(self._next(), parent),)

    def _mutated(self, child: int, parent: Individual) -> Individual:
        genome = mutate(self._pure, self._seed, self._generation, child, parent.genome)
        return Individual(genome, IndividualId(self._generation, child), (parent.id,))
