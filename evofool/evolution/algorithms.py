"""The algorithms, each one generation at a time over a DEAP toolbox.

`map_elites` is ours in the style of DEAP's; `mu_plus_lambda` and `cma_es` run DEAP's own
``eaMuPlusLambda`` and ``eaGenerateUpdate`` with both global generators seeded for the generation.
The toolbox is the seam: sample, select, mate, mutate, evaluate and map are registered there, and
`evaluate` takes a whole batch.
"""

from __future__ import annotations

from typing import Any, Protocol

from deap import base

from evofool.config import CmaEsConfig, EvolutionConfig, MuPlusLambdaConfig
from evofool.encodings import Encoding
from evofool.evolution.archive import ChampionArchive, Parents
from evofool.evolution.cma_es import CmaEs
from evofool.evolution.evaluation import Evaluator
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


def make_toolbox(
    encoding: Encoding[Any], archive: ChampionArchive, evaluator: Evaluator
) -> base.Toolbox:
    """The toolbox every algorithm breeds with; operators are pure and take their generator."""
    toolbox = base.Toolbox()
    toolbox.register("sample", encoding.sample)
    toolbox.register("mate", encoding.mate)
    toolbox.register("mutate", encoding.mutate)
    toolbox.register("select", Parents.pick)
    toolbox.register("evaluate", evaluator)
    toolbox.register("map", lambda function, population: function(population))
    toolbox.register("clone", Individual.clone)
    return toolbox


def make_algorithm(
    config: EvolutionConfig,
    seed: int,
    encoding: Encoding[Any],
    archive: ChampionArchive,
    evaluator: Evaluator,
) -> Algorithm:
    """The algorithm of a campaign.

    Raises:
        UsageError: `cma_es` with an encoding that has no vector of genes, or too many of them.
    """
    toolbox = make_toolbox(encoding, archive, evaluator)
    if isinstance(config, MuPlusLambdaConfig):
        return MuPlusLambda(config, seed, toolbox, encoding)
    if isinstance(config, CmaEsConfig):
        return CmaEs(config, seed, toolbox, encoding)
    return MapElites(config, seed, toolbox, encoding, archive, evaluator)
