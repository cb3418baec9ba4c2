"""The nets of a comparison of cost functions, and the works that measure each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evofool.experiments.costs.config import CostsConfig
from evofool.experiments.engine import Planned, Work
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.trained import Trained

CLEAN, FLOATS, PICTURES = "no attack", "noise N(0, I)", "noise N(0, I) as pictures"
FGSM_ROW = "FGSM"
MEASURES = (CLEAN, FLOATS, PICTURES, FGSM_ROW)
"""What is measured of every net, in this order."""


@dataclass(frozen=True)
class JudgedNet:
    """The works of one net.

    Attributes:
        loss: that it is trained with.
        seed: of its training and of the campaigns.
        trained: the net.
        measures: by name, see `MEASURES`.
        campaigns: by encoding.
    """

    loss: str
    seed: int
    trained: Trained
    measures: Mapping[str, Work]
    campaigns: Mapping[str, Campaign]

    @property
    def name(self) -> str:
        """What it is called in files and folders."""
        return f"{self.loss}-{self.seed}"

    def planned(self) -> Iterator[Planned]:
        """The works that measure it."""
        for name, work in self.measures.items():
            yield Planned(f"{name}, {self.name}", work)
        for encoding, campaign in self.campaigns.items():
            title = f"evolution, {encoding}, {self.name}"
            yield Planned(title, campaign, f"{self.name}-{encoding}")


@dataclass(frozen=True)
class Compared:
    """All nets of a comparison.

    Attributes:
        config: of the comparison.
        nets: every loss with every seed, the seeds of a loss side by side.
        labels: names of the classes.
    """

    config: CostsConfig
    nets: tuple[JudgedNet, ...]
    labels: tuple[str, ...]
