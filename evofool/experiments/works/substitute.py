"""The work of teaching a substitute by a net's labels, and attacking it in the net's place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from evofool.attacks import Attack, SubstituteSettings, train_substitute
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.answers import AnswerRow, answers, stored_pictures, verify_answers
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import encode_png
from evofool.store import Check

POINT = 20
"""Images that one point it is taught counts for, in guesses of how long it takes."""


@dataclass(frozen=True)
class TaughtRow(Row):
    """What a substitute learnt from.

    Attributes:
        labels: that the net was asked for.
    """

    type: ClassVar[str] = "taught"

    labels: int


@work
class Substitute(Work):
    """Pictures that are made on a substitute, shown to the net that taught it.

    Attributes:
        net: of which only labels are asked.
        pictures: clean ones.
        start: pictures that the substitute starts from; their classes do not count.
        settings: of its training.
        attack: on the substitute.
        scoring: how images are scored.
    """

    kind: ClassVar[str] = "substitute"
    rows: ClassVar[tuple[type[Row], ...]] = (TaughtRow, AnswerRow)

    net: Net
    pictures: Pictures
    start: Pictures
    settings: SubstituteSettings
    attack: Attack
    scoring: Scoring

    @property
    def images(self) -> int:
        """A guess: points that it is taught, and one per picture."""
        return len(self.pictures) + POINT * len(self.start) * (1 << self.settings.rounds)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net, labels = self.net.load(context), self.pictures.labels
        with context.scorer(net, self.scoring) as scorer:
            taught = train_substitute(scorer, self.start.images, self.settings)
            with context.scorer(taught.classifier, self.scoring, counted=False) as own:
                made = self.attack(own, self.pictures.images, labels).pixels
            yield TaughtRow(0, taught.queries)
            for row, pixels in zip(answers(scorer, made, labels), made, strict=True):
                yield replace(row, png=encode_png(pixels))

    def verify(self, context: Context) -> Iterator[Check]:
        """Show the stored pictures again."""
        images = stored_pictures(context, self)
        yield from verify_answers(self, self.net, self.scoring, context, images)
