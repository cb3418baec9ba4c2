"""The work of a campaign that searches in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evofool.experiments.engine import Artifact, Context, Row, outside
from evofool.experiments.engine.work import work
from evofool.experiments.works.campaign import FOLDER, Campaign, ChampionRow, GenerationRow
from evofool.store import CampaignFolder

BARS = ("0.5", "0.9", "0.99")
"""Confidences at which a generation's statistics count cells."""


@dataclass(frozen=True)
class CourseRow(Row):
    """A generation of a campaign, more closely.

    Attributes:
        evaluations: images scored so far.
        median: over the cells, of the confidence in the cell's class; None where it has none.
        won: cells whose picture the net calls by the cell's class.
        half, nine, ninety_nine: the share of the cells at .5, .9 and .99.
    """

    type: ClassVar[str] = "course"

    evaluations: int
    median: float | None
    won: int
    half: float
    nine: float
    ninety_nine: float


@work
class VariantCampaign(Campaign):
    """MAP-Elites against a net, with options of the encoding and of evolution.

    Attributes:
        options: of the encoding, all of them.
        evolution: keys of the section ``evolution``, those that are not as by default; code of a
            file by its digest.
        section: the same as the config has it.
    """

    kind: ClassVar[str] = "variant-campaign"
    rows: ClassVar[tuple[type[Row], ...]] = (GenerationRow, ChampionRow, CourseRow)

    options: Mapping[str, Any] = field(default_factory=dict)
    evolution: Mapping[str, Any] = field(default_factory=dict)
    section: Mapping[str, Any] | None = outside(default=None)

    def config(self, classifier: Mapping[str, Any]) -> dict[str, Any]:
        config = super().config(classifier)
        config["encoding"] |= self.options
        config["evolution"] |= self.section or {}
        return config

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        yield from super().run(context)
        with CampaignFolder.open(context.place(FOLDER)) as run:
            generations = run.generations()
        for row in generations:
            stats = row.stats
            median = stats.get("median")
            yield CourseRow(
                row.generation,
                row.evaluations,
                None if median is None else float(median),
                int(stats.get("cells_won", 0)),
                *(float(stats.get(f"share_{bar}", 0.0)) for bar in BARS),
            )
