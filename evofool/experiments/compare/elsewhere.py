"""What other nets make of the pictures that a method made for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from evofool.classifiers.pictures import fitted
from evofool.experiments.compare.works import Search, SearchRow
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.transfer.works import AimRow
from evofool.experiments.works.nets import Net
from evofool.images import Shape, UInt8Images, decode_png
from evofool.store import Check


@work
class Elsewhere(Work):
    """The pictures of a search, shown to another net.

    Attributes:
        net: that is asked.
        search: whose pictures.
        classes: for each class that was sought, the class of `net`.
        shape: the input of `net`: pictures of another size are resized to cover it.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "elsewhere"
    rows: ClassVar[tuple[type[Row], ...]] = (AimRow,)

    net: Net
    search: Search
    classes: tuple[int, ...]
    shape: Shape
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a class."""
        return len(self.classes)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        rows = context.rows(self.search, SearchRow)
        if not rows:
            return
        net = self.net.load(context)
        with context.scorer(net, self.scoring) as scorer:
            scores = scorer.score(self._images(context))
        sure = scores.confidence
        for k, row in enumerate(rows):
            aim, predicted = self.classes[row.item], int(scores.labels[k])
            aimed = float(sure[k, aim])
            yield AimRow(
                row.item,
                aim,
                None if np.isnan(aimed) else aimed,
                predicted,
                None if predicted < 0 else float(sure[k, predicted]),
                predicted == net.reject,
            )

    def verify(self, context: Context) -> Iterator[Check]:
        """Show the pictures again."""
        stored = context.rows(self, AimRow)
        if not stored:
            return
        net = self.net.load(context)
        with context.scorer(net, self.scoring) as scorer:
            sure = scorer.score(self._images(context)).confidence
        wrong = sum(
            abs((row.aimed or 0.0) - float(np.nan_to_num(sure[k, row.aim]))) > 1e-3
            for k, row in enumerate(stored)
        )
        yield Check(
            f"{context.planned.title}, again",
            not wrong,
            f"{wrong} of {len(stored)} pictures get answers other than the stored ones"
            if wrong
            else f"{len(stored)} pictures get the stored answers",
        )

    def _images(self, context: Context) -> UInt8Images:
        rows = context.with_pictures(self.search, SearchRow)
        return fitted(np.stack([decode_png(row.png or b"") for row in rows]), self.shape)
