"""The work of turning pictures into every other class (Papernot et al. 2016, figure 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evofool.attacks import Attack
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import encode_png


@dataclass(frozen=True)
class TargetedRow(Row):
    """One picture on its way to one class; its PNG is what came of it.

    Attributes:
        source: the class of the clean picture.
        target: the class sought.
        success: whether the saved picture is called that.
        changed: share of the channel values that differ, on [0, 1].
    """

    type: ClassVar[str] = "targeted"

    source: int
    target: int
    success: bool
    changed: float


@work
class Targeted(Work):
    """An attack on each picture, once for every class that is not its own.

    Attributes:
        net: that is attacked.
        pictures: clean ones.
        attack: with its parameters; it takes targets.
        classes: the first so many are sought.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "targeted"
    rows: ClassVar[tuple[type[Row], ...]] = (TargetedRow,)

    net: Net
    pictures: Pictures
    attack: Attack
    classes: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """A guess: some tens of steps forward and backward a pair."""
        return len(self.pictures) * (self.classes - 1) * 50

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        labels = np.repeat(self.pictures.labels, self.classes)
        targets = np.tile(np.arange(self.classes), len(self.pictures))
        wanted = labels != targets
        labels, targets = labels[wanted], targets[wanted]
        clean = np.repeat(self.pictures.images, self.classes, axis=0)[wanted]
        with context.scorer(self.net.load(context), self.scoring) as scorer:
            result = self.attack(scorer, clean, labels, targets=targets)
        context.notes += result.notes
        axes = tuple(range(1, clean.ndim))
        changed = (result.pixels != clean).mean(axis=axes)
        for k, pixels in enumerate(result.pixels):
            yield TargetedRow(
                k, int(labels[k]), int(targets[k]), bool(result.success[k]), float(changed[k]),
                png=encode_png(pixels),
            )  # fmt: skip
