"""Pictures that campaigns have scored, bred again to be trained on and to be recognised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from evofool.evolution.replaying import early_and_late
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.answers import AnswerRow, answers
from evofool.experiments.works.campaign import FOLDER, Campaign
from evofool.experiments.works.nets import Net
from evofool.images import UInt8Images


@dataclass(frozen=True)
class Bred:
    """Pictures of a campaign: of the first that it scored, and of the last.

    Attributes:
        campaign: where they come from.
        early: how many of the first.
        late: how many of the last.
    """

    campaign: Campaign
    early: int
    late: int

    def __len__(self) -> int:
        return self.early + self.late


def pictures_of(context: Context, bred: Sequence[Bred]) -> UInt8Images:
    """The pictures, uint8 N x C x H x W, the early ones of each campaign before its late ones.

    Nobody is asked anything: they are bred from what the campaigns have stored.
    """
    images: list[UInt8Images] = []
    for each in bred:
        path = context.artifact(each.campaign, FOLDER)
        key = (each.campaign.address, each.early, each.late)
        images += context.results.remembered(
            key, partial(early_and_late, path, each.early, each.late)
        )
    return np.concatenate(images)


@work
class Recognised(Work):
    """Whether a net calls fooling pictures by the class that stands for them.

    Attributes:
        net: that is asked, of one class more than the campaigns sought.
        bred: the pictures.
        fooling: that class.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "recognised"
    rows: ClassVar[tuple[type[Row], ...]] = (AnswerRow,)

    net: Net
    bred: tuple[Bred, ...]
    fooling: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a picture."""
        return sum(map(len, self.bred))

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        images = pictures_of(context, self.bred)
        labels = np.full(len(images), self.fooling, np.int64)
        with context.scorer(self.net.load(context), self.scoring) as scorer:
            yield from answers(scorer, images, labels)
