"""What attacked pictures are worth under transforms that the attack was not made for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Attack
from evofool.attacks.gradient.losses import Goal
from evofool.attacks.result import NONE
from evofool.attacks.runs.rows import (
    HeldBackRow,
    ImageRow,
    ResultRow,
    pixels_of,
    read_images,
    read_results,
)
from evofool.experiments.attack.works import AttackOnImages
from evofool.experiments.engine import Chunk, Context, Output, Row, Work
from evofool.experiments.engine.work import work
from evofool.images import UInt8Images
from evofool.scoring import Scorer, sigmoid

CHUNK = 64
"""Pictures that are looked at and stored at a time."""


@work
class AttackHeldBack(Work):
    """The pictures of an attack, under transforms of the victim that it was not made for.

    Attributes:
        attacked: the attack.
        transforms: how many.
    """

    kind: ClassVar[str] = "attack-held-back"
    rows: ClassVar[tuple[type[Row], ...]] = (HeldBackRow,)
    continues: ClassVar[bool] = True

    attacked: AttackOnImages
    transforms: int

    @property
    def images(self) -> int:
        """One for each transform of each picture."""
        return self.attacked.judged.source.count * self.transforms

    def run(self, context: Context) -> Iterator[Output]:
        run, attacked = context.results.folder, self.attacked
        victim = attacked.judged.net.load(context)
        images = read_images(run, attacked.judged.address)
        rows = read_results(run, attacked.address)
        done = context.finished_items(HeldBackRow)
        left = [row for row in rows if row.item not in done]
        with context.scorer(victim, attacked.scoring) as scorer:
            for start in range(0, len(left), CHUNK):
                context.check_stop()
                part = left[start : start + CHUNK]
                pixels = np.stack([pixels_of(run, attacked.address, row) for row in part])
                hits = withstood(
                    scorer, attacked.planned.attack, images, part, pixels, self.transforms
                )
                yield Chunk(
                    [
                        HeldBackRow(row.item, self.transforms, count)
                        for row, count in zip(part, hits.tolist(), strict=True)
                    ]
                )
                context.tell(len(done) + start + len(part), len(rows))


def withstood(
    scorer: Scorer,
    attack: Attack,
    images: Sequence[ImageRow],
    rows: Sequence[ResultRow],
    pixels: UInt8Images,
    transforms: int,
) -> NDArray[np.int64]:
    """Under how many held-back transforms each picture is a success, by the attack's own rule.

    Args:
        scorer: of the victim.
        attack: that made the pictures.
        images: all clean ones.
        rows: n results.
        pixels: uint8 n x C x H x W, their pictures.
        transforms: how many.

    Returns:
        int64 (n,).
    """
    answers = scorer.held_back(pixels, transforms)
    away = attack.aim == "any"
    labels = np.array([NONE if away else images[row.image].label for row in rows], np.int64)
    goal = Goal(scorer.classifier, labels, np.array([row.target for row in rows], np.int64))
    of = np.repeat(np.arange(len(rows)), transforms)
    top = answers.labels.reshape(-1)
    sought = np.where(goal.sought[of] == NONE, top, goal.sought[of])
    odds = answers.log_odds.reshape(len(of), -1)
    confidence = sigmoid(np.take_along_axis(odds, np.maximum(sought, 0)[:, None], 1)[:, 0])
    hit = goal.success(top, of, confidence)
    least = attack.least_confidence
    if least > 0:
        hit &= confidence >= least
    counts: NDArray[np.int64] = hit.reshape(len(rows), transforms).sum(1)
    return counts
