"""What tells whether a search draws what its classes look like: other nets, natural pictures.

A picture that only fools a net is far from all natural ones and means nothing to most other nets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np

from evofool.classifiers import Classifier
from evofool.config import Loaded
from evofool.experiments.attack.sources import open_source, read_samples
from evofool.experiments.checked import loaded_net
from evofool.experiments.engine import Context, Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.search.campaigns import VariantCampaign
from evofool.experiments.search.config import SearchConfig
from evofool.experiments.transfer.nets import MatrixNet, class_map
from evofool.experiments.transfer.works import ChampionsShown
from evofool.experiments.works.campaign import ChampionRow
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures


@work
class SurestShown(ChampionsShown):
    """The surest champions of a campaign, shown to another net.

    Attributes:
        surest: how many of them, by confidence; of equals the lower class.
    """

    kind: ClassVar[str] = "surest-shown"

    surest: int

    @property
    def images(self) -> int:
        """One a champion."""
        return min(self.surest, len(self.campaign.goals))

    def _champions(self, context: Context) -> Sequence[ChampionRow]:
        champions = context.with_pictures(self.campaign, ChampionRow)
        best = sorted(champions, key=lambda row: (-row.confidence, row.item))[: self.surest]
        return sorted(best, key=lambda row: row.item)  # the order of rows


def others(loaded: Loaded[SearchConfig], scoring: Scoring) -> Iterator[tuple[MatrixNet, Scoring]]:
    """The nets of ``shown_to``, and how each is asked.

    Raises:
        ConfigError: one cannot be had, gives labels alone, or has the name of another.
    """
    names: set[str] = set()
    for number, spec in enumerate(loaded.config.shown_to):
        where = ("shown_to", number)
        net = MatrixNet.of(loaded_net(loaded, where, spec))
        if net.name in names:
            raise loaded.error_at(where, f"two nets are called {net.name}; name each once")
        names.add(net.name)
        if net.classifier.output == "label":
            raise loaded.error_at(where, f"{net.name} gives labels only, and no confidences")
        if net.white:
            own = replace(net, net=GivenNet.of(net.classifier, spec.model_dump(exclude_none=True)))
            yield own, own.answered(scoring)
        else:
            yield net, replace(scoring, engine="auto")


def shown(
    net: Classifier,
    campaigns: Mapping[int, VariantCampaign],
    nets: Sequence[tuple[MatrixNet, Scoring]],
    count: int,
) -> dict[str, dict[int, SurestShown]]:
    """The works that show the surest champions to other nets, by net and seed.

    A net with other classes, and the searched one itself, is left out.
    """
    works: dict[str, dict[int, SurestShown]] = {}
    for other, scoring in nets:
        if other.classifier.digest == net.digest:
            continue
        try:
            classes = class_map(MatrixNet.of(net), other)
        except LookupError:
            continue
        works[other.name] = {
            seed: SurestShown(
                other.net, campaign, classes, other.classifier.input_shape, scoring, count
            )
            for seed, campaign in campaigns.items()
        }
    return works


def natural(loaded: Loaded[SearchConfig], net: Classifier) -> Pictures | None:
    """The pictures of ``images`` as inputs of a net.

    Raises:
        ConfigError: they cannot be read.
    """
    if loaded.config.images is None:
        return None
    source = open_source(cast(Any, loaded), net)  # it reads `images` and `seed` alone
    samples, faults = read_samples(source, range(len(source)))
    if not samples:
        raise loaded.error_at("images", f"no picture can be used: {faults[0]}")
    images = np.stack([sample.pixels for sample in samples])
    return Pictures.of(images, np.full(len(images), -1, np.int64))
