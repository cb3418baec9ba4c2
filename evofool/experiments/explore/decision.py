"""The work of scoring a plane of pictures: through a natural, an adversarial and an evolved one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import Attack
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.explore.repetition import TOLERANCE
from evofool.experiments.works.campaign import Campaign, ChampionRow
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import UInt8Images, decode_png, encode_png, to_float, to_uint8
from evofool.scoring import Scorer
from evofool.store import Check

NATURAL, ADVERSARIAL, EVOLVED = "natural", "adversarial", "evolved"
CORNERS = (NATURAL, ADVERSARIAL, EVOLVED)
LOW, HIGH = -0.5, 1.5
"""Ends of both axes: the natural picture is at (0, 0), the adversarial one at (1, 0), the evolved
one at (0, 1)."""


@dataclass(frozen=True)
class CornerRow(Row):
    """One of the three pictures, in the order of `CORNERS`; its PNG is what was scored.

    Attributes:
        name: which.
        distance: from the natural picture, Euclidean, of channel values on [0, 1].
        predicted: the class that the net finds likeliest.
        confidence: in that.
    """

    type: ClassVar[str] = "corner"

    name: str
    distance: float
    predicted: int
    confidence: float


@dataclass(frozen=True)
class LineRow(Row):
    """One line of the plane, along the first axis.

    Attributes:
        y: place on the second axis.
        x: places on the first.
        predicted: the class that the net finds likeliest, at each place.
        confidence: in that.
        own: confidence in the class of the map.
    """

    type: ClassVar[str] = "line"

    y: float
    x: tuple[float, ...]
    predicted: tuple[int, ...]
    confidence: tuple[float, ...]
    own: tuple[float, ...]


@work
class DecisionMap(Work):
    """Answers of a net over the plane through three pictures of one class.

    The natural picture is the first that the net gets right; the adversarial one is what an attack
    makes of it; the evolved one is the champion of its class.

    Attributes:
        net: that is asked.
        campaign: whose champion.
        pictures: natural ones of the class.
        class_index: the class.
        attack: untargeted.
        side: points along each axis.
        scoring: how pictures are scored.
    """

    kind: ClassVar[str] = "decision-map"
    rows: ClassVar[tuple[type[Row], ...]] = (CornerRow, LineRow)

    net: Net
    campaign: Campaign
    pictures: Pictures
    class_index: int
    attack: Attack
    side: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a point; the attack is a guess."""
        return self.side**2 + 2 * getattr(self.attack, "steps", 1) + len(self.pictures)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        champions = context.with_pictures(self.campaign, ChampionRow)
        pngs = [row.png for row in champions if row.item == self.class_index]
        if not pngs:
            context.notes.append("the campaign has no champion of the class")
            return
        labels = self.pictures.labels
        with context.scorer(self.net.load(context), self.scoring) as scorer:
            right = np.flatnonzero(scorer.labels(self.pictures.images) == labels)
            if not right.size:
                context.notes.append("the net gets no natural picture of the class right")
            first = int(right[0]) if right.size else 0
            natural = self.pictures.images[first]
            attacked = self.attack(scorer, natural[None], labels[first : first + 1])
            context.notes += attacked.notes
            corners = np.stack([natural, attacked.pixels[0], decode_png(pngs[0] or b"")])
            yield from self._rows(scorer, corners)

    def verify(self, context: Context) -> Iterator[Check]:
        """Draw the plane through the stored pictures again, and score it."""
        stored = context.with_pictures(self, CornerRow)
        if not stored:
            return
        corners = np.stack([decode_png(row.png or b"") for row in stored])
        with context.scorer(self.net.load(context), self.scoring) as scorer:
            now = [row for row in self._rows(scorer, corners) if isinstance(row, LineRow)]
        rows = context.rows(self, LineRow)
        off = sum(
            abs(a - b) > TOLERANCE
            for row, again in zip(rows, now, strict=True)
            for a, b in zip(row.own, again.own, strict=True)
        )
        points = self.side**2
        detail = (
            f"{off} of {points} points have another confidence than stored"
            if off
            else f"{points} points are scored as stored"
        )
        yield Check(f"{context.planned.title}, again", not off, detail)

    def _rows(self, scorer: Scorer, corners: UInt8Images) -> Iterator[Row]:
        scores = scorer.score(corners)
        natural = to_float(corners[0])
        for k, name in enumerate(CORNERS):
            c = int(scores.labels[k])
            yield CornerRow(
                k, name, float(np.linalg.norm(to_float(corners[k]) - natural)), c,
                float(scores.confidence[k, c]), png=encode_png(corners[k]),
            )  # fmt: skip
        places = axis(self.side)
        for n, y in enumerate(places.tolist()):
            scores = scorer.score(line(corners, places, y))
            top = scores.labels
            sure = np.take_along_axis(scores.confidence, top[:, None], 1)[:, 0]
            yield LineRow(
                n, y, tuple(places.tolist()), tuple(top.tolist()), tuple(sure.tolist()),
                tuple(scores.confidence[:, self.class_index].tolist()),
            )  # fmt: skip


def axis(side: int) -> NDArray[np.float64]:
    """The places along each axis, float64 (side,)."""
    return np.linspace(LOW, HIGH, side)


def line(corners: UInt8Images, x: NDArray[np.float64], y: float) -> UInt8Images:
    """Pictures of the plane through three, cut to [0, 1] and 8 bits, uint8 N x C x H x W.

    Args:
        corners: uint8 3 x C x H x W, at (0, 0), (1, 0) and (0, 1).
        x: float64 (N,), places on the first axis.
        y: place on the second axis.
    """
    origin, first, second = to_float(corners).astype(np.float64)
    points = origin + x[:, None, None, None] * (first - origin) + y * (second - origin)
    return to_uint8(np.clip(points, 0, 1).astype(np.float32))
