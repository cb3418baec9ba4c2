"""One way to search on one net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evofool.classifiers import Classifier
from evofool.experiments.search.campaigns import VariantCampaign
from evofool.experiments.search.config import Variant


@dataclass(frozen=True)
class Searched:
    """One variant on one net.

    Attributes:
        net: its name, one net's only.
        classifier: the net.
        variant: how it is searched.
        campaigns: by seed.
    """

    net: str
    classifier: Classifier
    variant: Variant
    campaigns: Mapping[int, VariantCampaign]
