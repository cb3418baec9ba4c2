"""One way to search on one net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evofool.classifiers import Classifier
from evofool.experiments.search.campaigns import VariantCampaign
from evofool.experiments.search.config import Variant
from evofool.experiments.search.witnesses import SurestShown
from evofool.experiments.works.nearest import Nearest


@dataclass(frozen=True)
class Searched:
    """One variant on one net.

    Attributes:
        net: its name, one net's only.
        classifier: the net.
        variant: how it is searched.
        campaigns: by seed.
        shown: by the name of another net and seed, its answers to the surest champions.
        near: by seed, the distances of the champions to natural pictures.
    """

    net: str
    classifier: Classifier
    variant: Variant
    campaigns: Mapping[int, VariantCampaign]
    shown: Mapping[str, Mapping[int, SurestShown]] = field(default_factory=dict)
    near: Mapping[int, Nearest] = field(default_factory=dict)
