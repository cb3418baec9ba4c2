"""The DEAP toolbox of a campaign, for a program to change before it is handed over."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evofool.classifiers import Classifier
from evofool.classifiers.sources.live import handed_over
from evofool.config import Campaign, load_campaign
from evofool.evolution.deap_toolbox import CampaignToolbox, first_tools
from evofool.evolution.setup import encoding_of, make_fitness


def toolbox(
    config: Path | str | Mapping[str, Any] | Campaign,
    *,
    classifier: Classifier | None = None,
    overrides: Sequence[str] = (),
) -> CampaignToolbox:
    """The DEAP toolbox that a campaign of `config` breeds with: change it, and hand it over.

    >>> tools = evofool.evolution.toolbox("mnist-cppn")
    >>> tools.register("select", my_select)
    >>> evofool.evolve("mnist-cppn", "runs/mine", toolbox=tools)

    Its tools: ``sample(rng) -> genome``, ``mate(first, second, rng) -> (genome, genome)``,
    ``mutate(genome, rng, generation) -> genome``; ``select``, of ``map_elites``
    ``select(parents, rng) -> (individual, class_index)`` from `archive.Parents`, of
    ``mu_plus_lambda`` DEAP's ``select(individuals, k) -> individuals``; and
    ``fitness(log_odds, images) -> N x classes``, see `fitness.FitnessFunction`. A tool never
    changes its arguments, and draws from ``rng`` alone if a resumed campaign is to come to the same
    end; DEAP's own selection operators, registered as they are, need no ``rng`` for that.

    Args:
        config: as for `evofool.evolve`.
        classifier: the victim, instead of the config's; only its input shape matters here.
        overrides: ``key.sub=value``.

    Raises:
        ConfigError: the config is wrong.
    """
    if isinstance(config, Mapping) and isinstance(config.get("classifier"), Classifier):
        classifier = config["classifier"]
        config = {key: value for key, value in config.items() if key != "classifier"}
    with contextlib.ExitStack() as stack:
        if classifier is not None:
            name = stack.enter_context(handed_over(classifier))
            overrides = (*overrides, f"classifier={{name: {json.dumps(name)}}}")
        loaded = load_campaign(config, overrides)
        return first_tools(loaded.config.evolution, encoding_of(loaded), make_fitness(loaded))
