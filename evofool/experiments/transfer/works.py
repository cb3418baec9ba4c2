"""Works that show to one net what was made on another, whatever its size and order of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.pictures import fitted
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.answers import Attacked, stored_pictures
from evofool.experiments.works.campaign import Campaign, ChampionRow
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import Shape, UInt8Images, decode_png
from evofool.scoring import Scorer
from evofool.scoring.ranking import Matrix
from evofool.store import Check


@dataclass(frozen=True)
class RankRow(Row):
    """Where a net places the class of one labelled picture.

    Attributes:
        label: the class, as the net numbers it.
        predicted: what the net calls the picture, -1 where it gave no finite scores.
        rank: classes that it finds likelier than `label`: 0 where it is right, below 5 where it is
            right in its top 5; all classes where it gave no finite scores. None where the net gives
            labels alone and is wrong.
        rejected: whether `predicted` stands for "no answer".
    """

    type: ClassVar[str] = "rank"

    label: int
    predicted: int
    rank: int | None
    rejected: bool = False


@dataclass(frozen=True)
class AimRow(Row):
    """What a net makes of a champion, whose class in the campaign `item` numbers.

    Attributes:
        aim: that class, as the net numbers it.
        aimed: confidence of the net in it; None where it gave no finite scores.
        predicted: the class that it finds likeliest, -1 where it gave no finite scores.
        most: confidence in that; None likewise.
        rejected: whether `predicted` stands for "no answer".
    """

    type: ClassVar[str] = "aim"

    aim: int
    aimed: float | None
    predicted: int
    most: float | None
    rejected: bool = False


@work
class Ranked(Work):
    """Labelled pictures, clean or attacked on any net, shown to a net.

    Attributes:
        net: that is asked.
        shown: clean pictures with classes of the net, or an attack on a net.
        classes: for each class of the attacked net, the class of `net`; empty for clean pictures.
        shape: the input of `net`: pictures of another size are resized to cover it.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "ranked"
    rows: ClassVar[tuple[type[Row], ...]] = (RankRow,)

    net: Net
    shown: Pictures | Attacked
    classes: tuple[int, ...]
    shape: Shape
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a picture."""
        return len(self._pictures)

    @property
    def _pictures(self) -> Pictures:
        return self.shown.pictures if isinstance(self.shown, Attacked) else self.shown

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        labels = self._pictures.labels
        if self.classes:
            labels = np.array(self.classes, np.int64)[labels]
        with context.scorer(net, self.scoring) as scorer:
            yield from _ranks(scorer, self._images(context), labels)

    def verify(self, context: Context) -> Iterator[Check]:
        """Show the pictures again."""
        stored = [row.predicted for row in context.rows(self, RankRow)]
        yield _again(context, self.net, self.scoring, self._images(context), stored)

    def _images(self, context: Context) -> UInt8Images:
        if isinstance(self.shown, Attacked):
            return fitted(stored_pictures(context, self.shown), self.shape)
        return self.shown.images


@work
class ChampionsShown(Work):
    """The champions of a campaign against any net, shown to a net (Nguyen et al. 2015, 3.3).

    Attributes:
        net: that is asked.
        campaign: whose champions.
        classes: for each class of the campaign's net, the class of `net`.
        shape: the input of `net`: pictures of another size are resized to cover it.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "champions-shown"
    rows: ClassVar[tuple[type[Row], ...]] = (AimRow,)

    net: Net
    campaign: Campaign
    classes: tuple[int, ...]
    shape: Shape
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a champion."""
        return len(self.campaign.goals)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        champions = self._champions(context)
        if not champions:  # a campaign may have sent too few pictures for any
            return
        net = self.net.load(context)
        with context.scorer(net, self.scoring) as scorer:
            scores = scorer.score(self._images(champions))
        sure = scores.confidence
        for k, champion in enumerate(champions):
            aim, predicted = self.classes[champion.item], int(scores.labels[k])
            yield AimRow(
                champion.item,
                aim,
                _finite(sure[k, aim]),
                predicted,
                _finite(sure[k, predicted]) if predicted >= 0 else None,
                predicted == net.reject,
            )

    def verify(self, context: Context) -> Iterator[Check]:
        """Show the champions again."""
        stored = [row.predicted for row in context.rows(self, AimRow)]
        if stored:
            images = self._images(self._champions(context))
            yield _again(context, self.net, self.scoring, images, stored)

    def _champions(self, context: Context) -> Sequence[ChampionRow]:
        """Those that are shown, with their pictures."""
        return context.with_pictures(self.campaign, ChampionRow)

    def _images(self, champions: Sequence[ChampionRow]) -> UInt8Images:
        return fitted(np.stack([decode_png(row.png or b"") for row in champions]), self.shape)


def _ranks(scorer: Scorer, images: UInt8Images, labels: NDArray[np.int64]) -> Iterator[RankRow]:
    scores = scorer.score(images)
    only_labels = scorer.classifier.output == "label"
    ranks = ranks_of(scores.log_odds, labels)
    pairs = zip(labels.tolist(), scores.labels.tolist(), ranks.tolist(), strict=True)
    for k, (label, predicted, rank) in enumerate(pairs):
        known: int | None = rank
        if only_labels:
            known = 0 if predicted == label else None
        yield RankRow(k, label, predicted, known, predicted == scorer.classifier.reject)


def ranks_of(log_odds: Matrix, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many classes stand before that of each picture, (N,).

    Among equals the lower index comes first, as in `Scores.labels`. A row without finite scores
    places its class behind all.

    Args:
        log_odds: N x classes.
        labels: (N,), classes.
    """
    n, classes = log_odds.shape
    own = log_odds[np.arange(n), labels][:, None]
    before = np.arange(classes)[None] < labels[:, None]
    ranks = ((log_odds > own) | ((log_odds == own) & before)).sum(axis=1)
    checked: NDArray[np.int64] = np.where(np.isnan(log_odds).any(axis=1), classes, ranks)
    return checked


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _again(
    context: Context, asked: Net, scoring: Scoring, images: UInt8Images, stored: list[int]
) -> Check:
    with context.scorer(asked.load(context), scoring) as scorer:
        now = scorer.labels(images).tolist()
    wrong = sum(a != b for a, b in zip(now, stored, strict=True))
    detail = (
        f"{wrong} of {len(stored)} pictures get answers other than the stored ones"
        if wrong
        else f"{len(stored)} pictures get the stored answers"
    )
    return Check(f"{context.planned.title}, again", not wrong, detail)
