"""The algorithms, each one generation at a time over a DEAP toolbox.

`map_elites` is ours, in the style of DEAP's; `mu_plus_lambda` and `cma_es` run DEAP's own
``eaMuPlusLambda`` and ``eaGenerateUpdate``, which draw from generators of their own for each
generation. The toolbox is the seam (`evofool.evolution.toolbox`); its `evaluate`, which a campaign
puts there, takes a whole batch.
"""

from __future__ import annotations

from typing import Any, Protocol

from deap import base

from evofool.config import CmaEsConfig, EvolutionConfig, MuPlusLambdaConfig
from evofool.encodings import Encoding
from evofool.evolution.cma_es import CmaEs
from evofool.evolution.evaluation import Evaluator
from evofool.evolution.generations import MapElitesGenerations
from evofool.evolution.individual import Individual
from evofool.evolution.map_elites import MapElites
from evofool.evolution.mu_plus_lambda import MuPlusLambda


class Algorithm(Protocol):
    """What the campaign drives."""

    def start(self) -> None:
        """Make and evaluate the initial population (generation 0)."""
        ...

    def step(self, generation: int, last: bool) -> list[Individual]:
        """Breed and evaluate one generation; returns who else must stay in the lineage.

        `last` says that no generation will follow, whatever this one brings.
        """
        ...

    def state(self) -> dict[str, bytes]:
        """What is needed beside the archive to go on, after the last whole generation."""
        ...

    def restore(self, state: dict[str, bytes]) -> None:
        """The inverse of `state`; raises ``StoreError`` if it does not fit."""
        ...


def make_algorithm(
    config: EvolutionConfig,
    seed: int,
    encoding: Encoding[Any],
    evaluator: Evaluator,
    toolbox: base.Toolbox,
    search: MapElites,
) -> Algorithm:
    """The algorithm of a campaign.

    Args:
        config: of its evolution.
        seed: of the campaign.
        encoding: of its genomes.
        evaluator: scores, and fills the archive of `search`; it becomes the ``evaluate`` of the
            toolbox.
        toolbox: to breed with.
        search: what `map_elites` drives.

    Raises:
        UsageError: `cma_es` with an encoding that has no vector of genes, or too many of them.
    """
    toolbox.register("evaluate", evaluator)
    if isinstance(config, MuPlusLambdaConfig):
        return MuPlusLambda(config, seed, toolbox, encoding)
    if isinstance(config, CmaEsConfig):
        return CmaEs(config, seed, toolbox, encoding)
    return MapElitesGenerations(config, search, encoding, evaluator)
