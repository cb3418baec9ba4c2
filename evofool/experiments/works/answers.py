"""Works that show pictures to a net, one row a picture: clean, attacked, made on another net."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import Attack
from evofool.classifiers import Classifier
from evofool.defenses.victims import adapted
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import UInt8Images, decode_png, encode_png
from evofool.scoring import Scorer
from evofool.store import Check


@dataclass(frozen=True)
class AnswerRow(Row):
    """The answer of a net to one picture; an attack stores the picture with it.

    Attributes:
        label: the class that the picture has.
        predicted: the class that the net calls it, -1 where it gave no finite scores.
        confidence: in that, None where there is none.
        rejected: whether that class stands for "no answer".
    """

    type: ClassVar[str] = "answer"

    label: int
    predicted: int
    confidence: float | None
    rejected: bool = False

    @property
    def is_error(self) -> bool:
        """Whether the picture is neither called its class nor rejected."""
        return self.predicted != self.label and not self.rejected


@work
class Clean(Work):
    """Pictures as they are.

    Attributes:
        net: that is asked.
        pictures: that it is shown.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "clean"
    rows: ClassVar[tuple[type[Row], ...]] = (AnswerRow,)

    net: Net
    pictures: Pictures
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a picture."""
        return len(self.pictures)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        with context.scorer(net, self.scoring) as scorer:
            yield from answers(scorer, self.pictures.images, self.pictures.labels)

    def verify(self, context: Context) -> Iterator[Check]:
        """Show the pictures again."""
        yield from _verify(self, context, self.pictures.images)


@work
class Attacked(Work):
    """An attack on labelled pictures, each answer on the picture as it is saved.

    Attributes:
        net: that is attacked.
        pictures: clean ones.
        attack: with its parameters.
        scoring: how they are scored.
        adaptive: whether the attacker differentiates the net knowing its defense
            (`evofool.defenses.victims.adapted`).
    """

    kind: ClassVar[str] = "attacked"
    rows: ClassVar[tuple[type[Row], ...]] = (AnswerRow,)

    net: Net
    pictures: Pictures
    attack: Attack
    scoring: Scoring
    adaptive: bool = False

    @property
    def images(self) -> int:
        """A guess: steps and restarts, forward and backward."""
        steps = getattr(self.attack, "steps", 1) * getattr(self.attack, "restarts", 1)
        queries = getattr(self.attack, "queries", 0)
        return len(self.pictures) * max(1 + 2 * steps, queries)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        labels = self.pictures.labels
        with context.scorer(self._seen(net), self.scoring) as scorer:
            result = self.attack(scorer, self.pictures.images, labels)
        context.notes += result.notes
        for k, pixels in enumerate(result.pixels):
            confidence = float(result.confidence[k])
            yield AnswerRow(
                k,
                int(labels[k]),
                int(result.predicted[k]),
                None if np.isnan(confidence) else confidence,
                result.predicted[k] == net.reject,
                png=encode_png(pixels),
            )

    def verify(self, context: Context) -> Iterator[Check]:
        """Show the stored pictures again."""
        yield from _verify(self, context, stored_pictures(context, self))

    def _seen(self, net: Classifier) -> Classifier:
        return (adapted(net) or net) if self.adaptive else net


@work
class Transferred(Work):
    """Pictures that were made on one net, shown to another.

    Attributes:
        net: that is asked.
        crafted: the attack on the other net.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "transferred"
    rows: ClassVar[tuple[type[Row], ...]] = (AnswerRow,)

    net: Net
    crafted: Attacked
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a picture."""
        return len(self.crafted.pictures)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        images = stored_pictures(context, self.crafted)
        with context.scorer(net, self.scoring) as scorer:
            yield from answers(scorer, images, self.crafted.pictures.labels)

    def verify(self, context: Context) -> Iterator[Check]:
        """Show the stored pictures again."""
        yield from _verify(self, context, stored_pictures(context, self.crafted))


def answers(scorer: Scorer, images: UInt8Images, labels: NDArray[np.int64]) -> Iterator[AnswerRow]:
    """The answers of a net to uint8 N x C x H x W pictures, whose classes `labels` are (N,)."""
    scores = scorer.score(images)
    predicted = scores.labels
    sure = np.take_along_axis(scores.confidence, predicted[:, None], 1)[:, 0]
    for k, (label, answer) in enumerate(zip(labels.tolist(), predicted.tolist(), strict=True)):
        rejected = answer == scorer.classifier.reject
        yield AnswerRow(k, label, answer, float(sure[k]), rejected)


def stored_pictures(context: Context, attacked: Work) -> UInt8Images:
    """The pictures of an attack, uint8 N x C x H x W, as they are stored."""
    rows = context.with_pictures(attacked, AnswerRow)
    return np.stack([decode_png(row.png or b"") for row in rows])


def _verify(
    work: Clean | Attacked | Transferred, context: Context, images: UInt8Images
) -> Iterator[Check]:
    yield from verify_answers(work, work.net, work.scoring, context, images)


def verify_answers(
    work: Work, asked: Net, scoring: Scoring, context: Context, images: UInt8Images
) -> Iterator[Check]:
    """Show pictures again, and hold the answers against the rows of a work.

    Args:
        work: whose rows are `AnswerRow`.
        asked: the net.
        scoring: how they are scored.
        context: of the work.
        images: uint8 N x C x H x W, in the order of the rows.
    """
    rows = context.rows(work, AnswerRow)
    net = asked.load(context)
    with context.scorer(net, scoring) as scorer:
        now = scorer.labels(images)
    wrong = sum(a != row.predicted for a, row in zip(now.tolist(), rows, strict=True))
    detail = (
        f"{wrong} of {len(rows)} pictures get answers other than the stored ones"
        if wrong
        else f"{len(rows)} pictures get the stored answers"
    )
    yield Check(f"{context.planned.title}, again", not wrong, detail)
