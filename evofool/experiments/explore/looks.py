"""The works of a closer look, by what they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evofool.experiments.engine import Planned
from evofool.experiments.explore.config import ExploreConfig
from evofool.experiments.explore.decision import DecisionMap
from evofool.experiments.explore.embedding import Embedding
from evofool.experiments.explore.repetition import Repetition
from evofool.experiments.explore.switching import GoalSwitching
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.targeted import Targeted


@dataclass
class Looks:
    """The works of a closer look by what they are about.

    Attributes:
        config: what was asked for.
        labels: names of the classes that are sought.
        named: names of all classes of the net.
        campaigns: by encoding and seed.
        repetition: by encoding and seed.
        decision_maps: by encoding and class, of the first seed.
        embedding: of the first seed of every encoding; None where it is not asked for.
        source_target: likewise.
        goal_switching: by encoding and seed.
        notes: on images.
    """

    config: ExploreConfig
    labels: tuple[str, ...]
    named: tuple[str, ...]
    campaigns: Mapping[tuple[str, int], Campaign]
    repetition: dict[tuple[str, int], Repetition] = field(default_factory=dict)
    decision_maps: dict[tuple[str, int], DecisionMap] = field(default_factory=dict)
    embedding: Embedding | None = None
    source_target: Targeted | None = None
    goal_switching: dict[tuple[str, int], GoalSwitching] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def planned(self) -> Iterator[Planned]:
        """Every work with its title, in the order in which they are done."""
        for (name, seed), campaign in self.campaigns.items():
            yield Planned(f"evolution, {name}, seed {seed}", campaign, f"{name}-{seed}")
        for (name, seed), windows in self.repetition.items():
            yield Planned(f"repetition, {name}, seed {seed}", windows)
        for (name, c), plane in self.decision_maps.items():
            yield Planned(f"decision map, {name}, class {c}", plane)
        if self.embedding is not None:
            yield Planned("embedding map", self.embedding)
        if self.source_target is not None:
            yield Planned("sources and targets", self.source_target)
        for (name, seed), switching in self.goal_switching.items():
            yield Planned(f"goal switching, {name}, seed {seed}", switching)
