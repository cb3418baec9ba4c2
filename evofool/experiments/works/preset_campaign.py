"""The work of a campaign with a preset of an encoding, as the literature's settings need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from evofool.experiments.engine.work import work
from evofool.experiments.works.campaign import Campaign


@work
class PresetCampaign(Campaign):
    """MAP-Elites against a net with a preset of an encoding.

    Attributes:
        preset: of the encoding: ``released`` has the settings of Nguyen et al.'s published code.
        fitness: what is compared: ``probability`` as there, or ``log_odds``.
    """

    kind: ClassVar[str] = "preset-campaign"

    preset: str = "released"
    fitness: str = "probability"

    def config(self, classifier: Mapping[str, Any]) -> dict[str, Any]:
        config = super().config(classifier)
        config["encoding"]["preset"] = self.preset
        config["evolution"]["fitness"] = self.fitness
        return config
