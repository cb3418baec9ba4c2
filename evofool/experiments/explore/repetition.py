"""The work of deleting most of a champion: how sure is the net of one window of it alone?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.campaign import Campaign, ChampionRow
from evofool.experiments.works.nets import Net
from evofool.images import Shape, UInt8Images, decode_png, encode_png
from evofool.scoring import Scorer
from evofool.store import Check

AT_ONCE = 256
"""Windowed pictures that are made at a time."""
TOLERANCE = 1e-4
"""Of a confidence that is measured again, on a machine whose sums may round otherwise."""


@dataclass(frozen=True)
class WindowRow(Row):
    """The best window of one side in one champion; its PNG is what was scored.

    Attributes:
        class_index: of the champion.
        side: of the window, in pixels.
        top: its first row.
        left: its first column.
        area: share of the picture that is kept, on (0, 1].
        whole: confidence in the class for the whole champion.
        confidence: for the window alone.
    """

    type: ClassVar[str] = "window"

    class_index: int
    side: int
    top: int
    left: int
    area: float
    whole: float
    confidence: float


@work
class Repetition(Work):
    """Each champion of a campaign but for one window, where it is its own mean colour.

    Nguyen et al. (2015) deleted repeated copies of a motif by hand. Here every position of a square
    window is tried, and the one counts whose picture has the highest log-odds of the class.

    Attributes:
        net: that the campaign was against.
        campaign: whose champions.
        sides: of the windows, in pixels.
        stride: pixels between two positions.
        shape: of the pictures.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "repetition"
    rows: ClassVar[tuple[type[Row], ...]] = (WindowRow,)

    net: Net
    campaign: Campaign
    sides: tuple[int, ...]
    stride: int
    shape: Shape
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a champion and position, and one for the champion as it is."""
        tried = sum(len(positions(self.shape, side, self.stride)) for side in self.sides)
        return len(self.campaign.goals) * (1 + tried)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        champions = context.with_pictures(self.campaign, ChampionRow)
        if not champions:  # a campaign may have sent too few pictures for any
            return
        pictures = np.stack([decode_png(row.png or b"") for row in champions])
        with context.scorer(self.net.load(context), self.scoring) as scorer:
            whole = scorer.confidence(pictures)
            item = 0
            for k, champion in enumerate(champions):
                c = champion.item
                for side in self.sides:
                    top, left, sure = best_window(scorer, pictures[k], c, side, self.stride)
                    kept = windowed(pictures[k], side, [(top, left)])[0]
                    area = side**2 / (self.shape[1] * self.shape[2])
                    yield WindowRow(
                        item, c, side, top, left, area, float(whole[k, c]), sure,
                        png=encode_png(kept),
                    )  # fmt: skip
                    item += 1

    def verify(self, context: Context) -> Iterator[Check]:
        """Cut the windows out of the champions again, and score them."""
        rows = context.with_pictures(self, WindowRow)
        if not rows:
            return
        champions = {
            row.item: decode_png(row.png or b"")
            for row in context.with_pictures(self.campaign, ChampionRow)
        }
        cut = [windowed(champions[r.class_index], r.side, [(r.top, r.left)])[0] for r in rows]
        wrong = sum(
            not np.array_equal(image, decode_png(row.png or b""))
            for image, row in zip(cut, rows, strict=True)
        )
        with context.scorer(self.net.load(context), self.scoring) as scorer:
            sure = scorer.confidence(np.stack(cut))
        off = sum(
            abs(float(sure[k, row.class_index]) - row.confidence) > TOLERANCE
            for k, row in enumerate(rows)
        )
        detail = (
            f"{wrong} of {len(rows)} pictures are no window of their champion, {off} have another"
            " confidence"
            if wrong or off
            else f"{len(rows)} windows are cut and scored as stored"
        )
        yield Check(f"{context.planned.title}, again", not (wrong or off), detail)


def positions(shape: Shape, side: int, stride: int) -> list[tuple[int, int]]:
    """First row and column of every window of a picture C x H x W, the last at its far edge."""
    _, height, width = shape
    return [(top, left) for top in _starts(height, side, stride)
            for left in _starts(width, side, stride)]  # fmt: skip


def windowed(picture: UInt8Images, side: int, at: list[tuple[int, int]]) -> UInt8Images:
    """A picture with its mean colour outside one window, uint8 N x C x H x W, one a position.

    Args:
        picture: uint8 C x H x W.
        side: of the windows, in pixels.
        at: first row and column of each.
    """
    mean = np.rint(picture.mean(axis=(1, 2))).astype(np.uint8)
    images = np.broadcast_to(mean[:, None, None], (len(at), *picture.shape)).copy()
    for image, (top, left) in zip(images, at, strict=True):
        inside = slice(top, top + side), slice(left, left + side)
        image[:, *inside] = picture[:, *inside]
    return images


def best_window(
    scorer: Scorer, picture: UInt8Images, class_index: int, side: int, stride: int
) -> tuple[int, int, float]:
    """First row and column of the window with the highest log-odds, and the confidence there.

    Args:
        scorer: of the net.
        picture: uint8 C x H x W.
        class_index: the class.
        side: of the window, in pixels.
        stride: pixels between two positions.
    """
    at = positions(picture.shape, side, stride)
    odds, sure = [], []
    for start in range(0, len(at), AT_ONCE):
        scores = scorer.score(windowed(picture, side, at[start : start + AT_ONCE]))
        odds.append(scores.log_odds[:, class_index])
        sure.append(scores.confidence[:, class_index])
    best = int(np.argmax(np.concatenate(odds)))
    return *at[best], float(np.concatenate(sure)[best])


def _starts(length: int, side: int, stride: int) -> list[int]:
    last = max(0, length - side)
    return sorted({*range(0, last + 1, stride), last})
