"""Works that try a net by other means: champions of another net, and gradient ascent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evofool.attacks import GradientAscent
from evofool.attacks.query.noise import noise_images
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.campaign import Campaign, ChampionRow
from evofool.experiments.works.nets import Net
from evofool.images import decode_png, encode_png


@dataclass(frozen=True)
class ShownRow(Row):
    """A champion, whose class `item` numbers, on another net.

    Attributes:
        aimed: confidence of that net in the champion's class.
        most: its largest confidence in any class that campaigns seek.
    """

    type: ClassVar[str] = "shown"

    aimed: float
    most: float


@work
class Shown(Work):
    """The champions of a campaign, shown to another net (Nguyen et al. 2015, section 3.3).

    Attributes:
        campaign: whose champions.
        net: that is asked; real classes first.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "shown"
    rows: ClassVar[tuple[type[Row], ...]] = (ShownRow,)

    campaign: Campaign
    net: Net
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a champion."""
        return len(self.campaign.goals)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        champions = context.with_pictures(self.campaign, ChampionRow)
        images = np.stack([decode_png(row.png or b"") for row in champions])
        with context.scorer(self.net.load(context), self.scoring) as scorer:
            sure = scorer.confidence(images)
        for k, row in enumerate(champions):
            real = sure[k, : len(champions)]
            yield ShownRow(row.item, float(sure[k, row.item]), float(real.max()))


@dataclass(frozen=True)
class AscentRow(Row):
    """One climb.

    Attributes:
        target: the class aimed at.
        success: whether the saved picture is called so, with the confidence that was asked for.
    """

    type: ClassVar[str] = "ascent"

    target: int
    success: bool


@work
class Ascent(Work):
    """Gradient ascent from pictures of uniform noise to each real class in turn.

    Attributes:
        net: that is climbed.
        attack: with its parameters.
        count: pictures of noise.
        classes: real ones.
        seed: of the noise.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "ascent"
    rows: ClassVar[tuple[type[Row], ...]] = (AscentRow,)

    net: Net
    attack: GradientAscent
    count: int
    classes: int
    seed: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """At most: forward and backward in every step."""
        return 2 * self.count

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        noise = noise_images("uniform", net.input_shape, self.count, self.seed)
        targets = np.arange(self.count, dtype=np.int64) % self.classes
        with context.scorer(net, self.scoring) as scorer:
            result = self.attack(scorer, noise, targets=targets)
        for k, pixels in enumerate(result.pixels):
            yield AscentRow(k, int(targets[k]), bool(result.success[k]), png=encode_png(pixels))
