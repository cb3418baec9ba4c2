"""One class by DEAP's CMA-ES, for genomes that are a short vector."""

from __future__ import annotations

from typing import Any

import numpy as np
from deap import algorithms, base, cma
from numpy.typing import NDArray

from evofool.config import CmaEsConfig
from evofool.encodings import Encoding, VectorEncoding
from evofool.errors import DamagedError, UsageError
from evofool.evolution.arrays import pack, unpack
from evofool.evolution.individual import ConfidenceFitness, Individual
from evofool.evolution.randomness import draws_for_deap
from evofool.evolution.variation import sample
from evofool.randomness import PrivateNumPy, rebound
from evofool.store import IndividualId

MAX_GENES = 4096
"""Full CMA keeps an n x n matrix and takes its eigenvectors; beyond this it takes minutes."""

ARRAYS = ("centroid", "sigma", "pc", "ps", "C", "B", "BD", "diagD", "update_count")


class Point(np.ndarray[tuple[int], np.dtype[np.float64]]):
    """What DEAP's strategy moves about: an array that carries a DEAP fitness."""

    fitness: ConfidenceFitness


def _point(vector: NDArray[np.float64]) -> Point:
    point = vector.view(Point)
    point.fitness = ConfidenceFitness()
    return point


class CmaEs:
    """``deap.cma.Strategy`` (Hansen and Ostermeier 2001) around the best initial individual.

    Genes live on [0, 1]: a point outside is scored where it is clipped to, and loses its squared
    distance from there, so that the distribution does not wander off.

    Raises:
        UsageError: the encoding has no vector of genes, or more than `MAX_GENES`.
    """

    def __init__(
        self, config: CmaEsConfig, seed: int, toolbox: base.Toolbox, encoding: Encoding[Any]
    ) -> None:
        if not isinstance(encoding, VectorEncoding):
            raise UsageError(
                "evolution.algorithm: cma_es needs genomes that are vectors, but those of"
                f" encoding {encoding.name} are not; use direct, or another algorithm"
            )
        self._config = config
        self._seed = seed
        self._pure = toolbox
        self._encoding = encoding
        self._strategy: Any = None
        self._generation = 0
        self._toolbox = base.Toolbox()
        self._toolbox.register("generate", self._generate)
        self._toolbox.register("update", self._update)
        self._toolbox.register("evaluate", self._evaluate)
        self._toolbox.register("map", toolbox.map)
        first = next(sample(toolbox, seed, 1))
        self._genes = len(encoding.to_vector(first.genome))
        if self._genes > MAX_GENES:
            raise UsageError(
                f"evolution.algorithm: cma_es cannot handle {self._genes} genes (at most"
                f" {MAX_GENES}); set encoding.resolution, or use another algorithm"
            )

    def start(self) -> None:
        population = list(sample(self._pure, self._seed, self._config.initial))
        fitness = self._pure.evaluate(population)
        best = population[int(np.argmax([value for (value,) in fitness]))]
        self._strategy = self._make(self._encoding.to_vector(best.genome))

    def step(self, generation: int, last: bool) -> list[Individual]:
        self._generation = generation
        algorithms.eaGenerateUpdate(self._toolbox, ngen=1, verbose=False)
        return []

    def state(self) -> dict[str, bytes]:
        arrays = {name: np.asarray(getattr(self._strategy, name)) for name in ARRAYS}
        return {"cma_es": pack(**arrays)}

    def restore(self, state: dict[str, bytes]) -> None:
        arrays = unpack(state, "cma_es", ARRAYS)
        centroid = arrays["centroid"]
        if centroid.shape != (self._genes,):  # before a matrix of its size is made
            raise DamagedError("the stored state of cma_es is damaged (centroid)")
        strategy = self._make(np.zeros(self._genes))
        for name, array in arrays.items():
            sound = array.dtype.kind in "fiu" and array.shape == np.shape(getattr(strategy, name))
            if not (sound and np.isfinite(array).all()):
                raise DamagedError(f"the stored state of cma_es is damaged ({name})")
            own = getattr(strategy, name)
            setattr(strategy, name, array if isinstance(own, np.ndarray) else array.item())
        self._strategy = strategy

    def _generate(self) -> list[Point]:
        numpy = PrivateNumPy(draws_for_deap(self._seed, self._generation).numpy)
        generate = rebound(cma.Strategy.generate, numpy=numpy)
        points: list[Point] = generate(self._strategy, _point)
        return points

    def _update(self, points: list[Point]) -> None:
        self._strategy.update(points)

    def _make(self, centroid: NDArray[np.float64]) -> Any:
        config = self._config
        return cma.Strategy(centroid=centroid, sigma=config.sigma, lambda_=config.children)

    def _evaluate(self, points: list[Point]) -> list[tuple[float]]:
        inside = [np.clip(np.asarray(point), 0.0, 1.0) for point in points]
        children = [
            Individual(self._encoding.from_vector(vector), IndividualId(self._generation, i))
            for i, vector in enumerate(inside)
        ]
        return [
            (value - float(((np.asarray(point) - vector) ** 2).sum()),)
            for (value,), point, vector in zip(
                self._pure.evaluate(children), points, inside, strict=True
            )
        ]
