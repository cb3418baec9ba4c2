"""The works of an experiment on signs: pictures that an attack paints, what nets make of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import Attack
from evofool.classifiers import Classifier
from evofool.classifiers.transformed import with_transforms
from evofool.config.transforms import TransformsConfig
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.signs.views import at_angle, from_afar
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import UInt8Images, decode_png, encode_png

HELD_BACK = 2**40
"""Seeds of transforms that are held back start here, which no config's own is likely to be."""


@dataclass(frozen=True)
class PaintedRow(Row):
    """One picture that an attack has painted; its PNG is what came of it.

    Attributes:
        target: the class that it is to be taken for.
        success: whether it is under the transforms it was optimised over, as the attack judges it.
        change: mean change of a value, on [0, 1].
        forward: images that went forward for it, each transform one.
        backward: images that gradients were taken of.
    """

    type: ClassVar[str] = "painted"
    pictured: ClassVar[bool] = True

    target: int
    success: bool
    change: float
    forward: int
    backward: int


@dataclass(frozen=True)
class SeenRow(Row):
    """What a net makes of one painted picture.

    Attributes:
        before: what it called the clean picture.
        predicted: what it calls the painted one, without any transform.
        confidence: in the target then.
        held: under how many of the transforms that were held back it is called the target.
        afar: whether it is called the target at each distance.
        turned: whether it is at each angle.
    """

    type: ClassVar[str] = "seen"

    before: int
    predicted: int
    confidence: float
    held: int
    afar: tuple[bool, ...]
    turned: tuple[bool, ...]


@work
class PaintedSigns(Work):
    """An attack on pictures, each to be taken for a class of its own.

    Attributes:
        net: without transforms.
        pictures: clean ones.
        targets: one per picture.
        attack: with its parameters; it takes targets.
        transforms: that the net sees every picture under.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "painted-signs"
    rows: ClassVar[tuple[type[Row], ...]] = (PaintedRow,)

    net: Net
    pictures: Pictures
    targets: tuple[int, ...]
    attack: Attack
    transforms: TransformsConfig
    scoring: Scoring

    @property
    def images(self) -> int:
        """A guess: fewer where pictures are sure before the last step."""
        steps = getattr(self.attack, "steps", None) or 100
        most = self.attack.most_queries or (1 + steps) * getattr(self.attack, "search_steps", 1)
        return len(self.pictures) * most

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        victim = with_transforms(self.net.load(context), self.transforms)
        clean = self.pictures.images
        with context.scorer(victim, self.scoring) as scorer:
            result = self.attack(scorer, clean, targets=np.array(self.targets, np.int64))
        context.notes += result.notes
        change = np.abs(result.pixels.astype(np.float64) - clean).mean(axis=(1, 2, 3)) / 255
        for k, pixels in enumerate(result.pixels):
            yield PaintedRow(
                k, self.targets[k], bool(result.success[k]), float(change[k]),
                int(result.forward_each[k]), int(result.backward_each[k]), png=encode_png(pixels),
            )  # fmt: skip


@work
class SignsSeen(Work):
    """Painted pictures shown to the net they were painted for: as they are, and in many views.

    Attributes:
        painted: the pictures.
        held_back: so many transforms of the ranges they were optimised over, drawn anew.
        sides: pixels of a side as the camera takes it, one a distance.
        angles: degrees by which the board is turned.
    """

    kind: ClassVar[str] = "signs-seen"
    rows: ClassVar[tuple[type[Row], ...]] = (SeenRow,)

    painted: PaintedSigns
    held_back: int
    sides: tuple[int, ...]
    angles: tuple[float, ...]

    @property
    def images(self) -> int:
        """One a view."""
        views = 2 + self.held_back + len(self.sides) + len(self.angles)
        return len(self.painted.pictures) * views

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        rows = context.with_pictures(self.painted, PaintedRow)
        pictures = np.stack([decode_png(row.png or b"") for row in rows])
        targets = np.array([row.target for row in rows], np.int64)
        net = self.painted.net.load(context)
        scoring = self.painted.scoring
        clean = self.painted.pictures.images
        with context.scorer(net, scoring) as scorer:
            before = scorer.labels(clean)
            scores = scorer.score(pictures)
            views = [from_afar(pictures, side) for side in self.sides]
            views += [at_angle(pictures, angle) for angle in self.angles]
            called = scorer.labels(np.concatenate(views)).reshape(len(views), -1) == targets
        held = np.zeros(len(pictures), np.int64)
        for number in range(self.held_back):
            held += self._under(context, net, number, pictures) == targets
        for k in range(len(pictures)):
            yield SeenRow(
                k,
                int(before[k]),
                int(scores.labels[k]),
                float(np.nan_to_num(scores.confidence[k, targets[k]])),
                int(held[k]),
                tuple(called[: len(self.sides), k].tolist()),
                tuple(called[len(self.sides) :, k].tolist()),
            )

    def _under(
        self, context: Context, net: Classifier, number: int, pictures: UInt8Images
    ) -> NDArray[np.int64]:
        """What the net calls pictures (uint8 N x C x H x W) under one transform, int64 (N,)."""
        one = self.painted.transforms.model_copy(update={"k": 1, "seed": HELD_BACK + number})
        with context.scorer(with_transforms(net, one), self.painted.scoring) as scorer:
            return scorer.labels(pictures)
