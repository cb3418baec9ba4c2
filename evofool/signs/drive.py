"""What a victim reads on a sign while a car drives by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from evofool.attacks.runs.statistics import wilson
from evofool.classifiers import Classifier
from evofool.errors import UsageError
from evofool.images import UInt8Images
from evofool.scoring import Scorer
from evofool.signs.footage import Footage

BINS = 5
"""Ranges of distance that a drive is divided into."""


@dataclass(frozen=True)
class Aim:
    """What a sign is to be taken for.

    Attributes:
        target: the class; None: any but `true`.
        true: what it really shows; None: nothing that has a class.
    """

    target: int | None = None
    true: int | None = None

    def __post_init__(self) -> None:
        if self.target is None and self.true is None:
            raise UsageError(
                "what should the sign be read as? Name the class (--target), or what it really"
                " shows (--true): then any other answer counts"
            )

    def is_met(self, read: int, victim: Classifier) -> bool:
        """Whether `read`, the victim's first answer, fools; below 0 it gave none."""
        if self.target is not None:
            return read == self.target
        return read >= 0 and read not in (self.true, victim.reject)


@dataclass(frozen=True)
class Sight:
    """A sign in one frame, and what was read there.

    Attributes:
        frame: from 0 on.
        distance: in metres.
        angle: between the sign's normal and the line to the camera, about its pole, in degrees.
        pixels: width and height of the box that was cut out.
        read: the class; -1 where the victim gave no usable answer.
        confidence: in `read`, on [0, 1]; None of a victim that gives labels only.
        aimed: confidence in the target, or 1 - that in the true class; None as `confidence`.
        fooled: whether it is what the sign aims at.
    """

    frame: int
    distance: float
    angle: float
    pixels: tuple[int, int]
    read: int
    confidence: float | None
    aimed: float | None
    fooled: bool


@dataclass(frozen=True)
class Drive:
    """What a victim made of one sign.

    Attributes:
        footage: its frames.
        aim: what it was to be taken for.
        sights: one a frame.
    """

    footage: Footage
    aim: Aim
    sights: tuple[Sight, ...]

    @property
    def fooled(self) -> int:
        """The number of frames that fooled."""
        return sum(sight.fooled for sight in self.sights)


@dataclass(frozen=True)
class Share:
    """Frames fooled in a range of distances, with Wilson's 95 % interval of the share.

    Attributes:
        far: the farthest of these frames, in metres.
        near: the nearest.
        fooled: how many of them fooled.
        frames: how many there are.
        low: lower end of the interval, on [0, 1].
        high: upper end.
    """

    far: float
    near: float
    fooled: int
    frames: int
    low: float
    high: float


def drive(scorer: Scorer, footage: Footage, aim: Aim) -> Drive:
    """Drive by a sign and ask the victim in every frame; each frame is a query.

    The detector is simulated: the victim gets what `Footage.crop` cuts out, resized to its input.

    Args:
        scorer: of the victim.
        footage: the frames.
        aim: what fools.

    Raises:
        UsageError: the sign cannot be seen whole in every frame, or no such class.
        BudgetError: the scorer's budget does not cover all frames; none is scored.
        ScoringError: the victim failed.
    """
    victim = scorer.classifier
    for name, wanted in (("target", aim.target), ("true", aim.true)):
        if wanted is not None and not 0 <= wanted < victim.n_classes:
            raise UsageError(f"{name}: no class {wanted}; there are {victim.n_classes}")
    footage.check()
    crops, windows = [], []
    for frame in range(footage.approach.frames):
        crop, window = footage.crop(frame)
        crops.append(as_input(crop, victim))
        windows.append(window)
    read, sure, aimed = ask(scorer, np.stack(crops), aim)
    sights = tuple(
        Sight(
            frame=frame,
            distance=footage.approach.distance(frame),
            angle=footage.angle_seen(frame),
            pixels=(right - left, bottom - top),
            read=read[frame],
            confidence=sure[frame],
            aimed=aimed[frame],
            fooled=aim.is_met(read[frame], victim),
        )
        for frame, (left, top, right, bottom) in enumerate(windows)
    )
    return Drive(footage, aim, sights)


def ask(
    scorer: Scorer, images: UInt8Images, aim: Aim
) -> tuple[list[int], list[float | None], list[float | None]]:
    """What is read on images: classes, confidences in them, and in what `aim` asks for.

    Args:
        scorer: of the victim.
        images: N x C x H x W, of its input shape.
        aim: of the last of the three.

    Raises:
        BudgetError, ScoringError: as `Scorer.score`.
    """
    if scorer.classifier.output == "label":
        labels = scorer.labels(images).tolist()
        return labels, [None] * len(labels), [None] * len(labels)
    scores = scorer.score(images, keep_unscored=True)
    read: list[int] = []
    sure: list[float | None] = []
    aimed: list[float | None] = []
    for row, label, scored in zip(scores.confidence, scores.labels, scores.scored, strict=True):
        read.append(int(label) if scored else -1)
        sure.append(float(row[label]) if scored else None)
        if not scored:
            aimed.append(None)
        elif aim.target is not None:
            aimed.append(float(row[aim.target]))
        else:
            aimed.append(1 - float(row[aim.true]))
    return read, sure, aimed


def as_input(crop: UInt8Images, victim: Classifier) -> UInt8Images:
    """A crop h x w x 3 of any size as an input of the victim, C x H x W.

    It is stretched to the input's sides: each pixel the mean of those it covers where the crop is
    larger, else linear between them. Grey inputs get the luminance.
    """
    channels, height, width = victim.input_shape
    larger = crop.shape[0] >= height and crop.shape[1] >= width
    how = cv2.INTER_AREA if larger else cv2.INTER_LINEAR
    rows = cv2.resize(np.ascontiguousarray(crop), (width, height), interpolation=how)
    if channels == 1:
        rows = cv2.cvtColor(rows, cv2.COLOR_RGB2GRAY)[..., None]
    return np.ascontiguousarray(rows.transpose(2, 0, 1))


def by_distance(drives: Sequence[Drive], bins: int = BINS) -> list[Share]:
    """Frames fooled in equal ranges of distance, the farthest first; frames of all drives count.

    The intervals take frames as independent. Frames of one sign are not quite: they show the same
    sign.
    """
    every = [sight for one in drives for sight in one.sights]
    if not every:
        return []
    far, near = max(s.distance for s in every), min(s.distance for s in every)
    groups: list[list[Sight]] = [[] for _ in range(bins)]
    for sight in every:
        share = (far - sight.distance) / (far - near) if far > near else 0.0
        groups[min(bins - 1, int(share * bins))].append(sight)
    shares = []
    for group in filter(None, groups):
        fooled = sum(sight.fooled for sight in group)
        distances = [sight.distance for sight in group]
        bounds = wilson(fooled, len(group))
        shares.append(Share(max(distances), min(distances), fooled, len(group), *bounds))
    return shares
