"""Lenticular signs: two pictures in strips behind lenses, of which the angle shows one.

Sitawarin et al. (arXiv 1802.06430) print them, so that a driver and a camera that stand elsewhere
see different signs; no access to the model is needed. Each lens magnifies the part of the print
behind it that the line of sight, bent by Snell's law, meets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evofool.errors import ImageError, UsageError
from evofool.images import FloatImages, UInt8Images, to_float, to_uint8
from evofool.scoring import Scorer
from evofool.signs.drive import Aim, as_input, ask
from evofool.signs.plates import Sign, make_sign


@dataclass(frozen=True)
class Lenses:
    """A sheet of upright cylindrical lenses over a print.

    Attributes:
        count: of lenses across the picture.
        columns: of the print behind each of them, an even number: half of them for each picture.
        opening: degrees from where the first picture begins to where the second one ends; beyond,
            it all begins again.
        switch: degrees from the sign's normal at which one picture becomes the other. Angles are
            above 0 where whoever reads the sign stands to the left of its normal.
        spot: width of what a lens focuses on, as a share of its own: both pictures are seen at
            once where it lies on both.
        index: of refraction.
    """

    count: int = 64
    columns: int = 8
    opening: float = 49.0
    switch: float = 15.0
    spot: float = 0.15
    index: float = 1.56

    def __post_init__(self) -> None:
        if self.columns < 2 or self.columns % 2 or self.columns > 64:
            raise UsageError(f"columns behind a lens must be 2, 4 ... 64, not {self.columns}")
        numbers = (
            ("count", self.count, 8, 1024), ("opening", self.opening, 5, 120),
            ("switch", self.switch, -60, 60), ("spot", self.spot, 0.01, 1),
            ("index", self.index, 1, 3),
        )  # fmt: skip
        for name, value, low, high in numbers:
            if not low <= value <= high:  # a NaN fails both
                raise UsageError(
                    f"{name} of lenses must lie within {low:g} and {high:g}, not {value:g}"
                )

    def focus(self, angle: float) -> float:
        """Where a lens focuses, from its left edge on, on [0, 1), as a share of its width."""
        reach = 0.5 / self._bent(self.opening / 2)
        return (0.5 + reach * (self._bent(angle) - self._bent(self.switch))) % 1.0

    def second(self, angle: float) -> float:
        """The share of what is seen at `angle` that is the second picture's, on [0, 1]."""
        return float(self._weights(angle)[self.columns // 2 :].sum())

    def interlaced(self, first: UInt8Images, second: UInt8Images) -> UInt8Images:
        """The print: behind each lens `columns` of them, those of the first picture on the left.

        Args:
            first: C x H x W, seen at angles below `switch`.
            second: the same shape, seen above.

        Returns:
            C x H x (count * columns): each half lens has the mean of what its lens covers.

        Raises:
            ImageError: pictures of different shapes.
        """
        if first.shape != second.shape:
            raise ImageError(
                f"pictures of {first.shape} and {second.shape} cannot share a print: they need"
                " the same size"
            )
        halves = [self._at_lenses(picture) for picture in (first, second)]
        half = self.columns // 2
        strips = np.concatenate([np.repeat(part[..., None], half, -1) for part in halves], -1)
        return np.ascontiguousarray(strips.reshape(*strips.shape[:2], -1))

    def seen(self, printed: UInt8Images, angle: float) -> UInt8Images:
        """What is seen of a print at `angle` degrees.

        Args:
            printed: C x H x (count * columns), as `interlaced` makes it.
            angle: from the sign's normal.

        Returns:
            C x H x (count * columns): each lens one colour a row.

        Raises:
            ImageError: a print for other lenses.
        """
        if printed.shape[-1] != self.count * self.columns:
            raise ImageError(
                f"a print of {printed.shape[-1]} columns does not fit {self.count} lenses of"
                f" {self.columns}"
            )
        strips = to_float(printed).reshape(*printed.shape[:2], self.count, self.columns)
        colours: FloatImages = strips @ self._weights(angle).astype(np.float32)
        return to_uint8(np.repeat(colours, self.columns, -1))

    def _bent(self, angle: float) -> float:
        """The tangent of the angle inside the lens (Snell)."""
        return math.tan(math.asin(math.sin(math.radians(angle)) / self.index))

    def _weights(self, angle: float) -> NDArray[np.float64]:
        """The share of each column in what a lens shows, (columns,)."""
        middle, edges = self.focus(angle), np.arange(self.columns + 1) / self.columns
        weights = np.zeros(self.columns)
        for turn in (-1, 0, 1):  # a spot over the edge reaches the next lens, which looks the same
            low, high = middle + turn - self.spot / 2, middle + turn + self.spot / 2
            weights += np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
        weights /= weights.sum()
        return weights

    def _at_lenses(self, picture: UInt8Images) -> UInt8Images:
        rows = np.ascontiguousarray(picture.transpose(1, 2, 0))
        larger = self.count > rows.shape[1]
        how = cv2.INTER_NEAREST if larger else cv2.INTER_AREA
        small = cv2.resize(rows, (self.count, rows.shape[0]), interpolation=how)
        return np.asarray(small, np.uint8).reshape(rows.shape[0], self.count, -1).transpose(2, 0, 1)


@dataclass(frozen=True)
class Glance:
    """A lenticular sign from one angle.

    Attributes:
        angle: in degrees.
        share: of the second picture in what is seen, on [0, 1].
        read: the class; -1 where the victim gave no usable answer.
        first: confidence in the first picture's class; None of a victim that gives labels only.
        second: the same of the second picture's.
    """

    angle: float
    share: float
    read: int
    first: float | None
    second: float | None


def lenticular_sign(
    first: UInt8Images, second: UInt8Images, lenses: Lenses, shape: str = "square", name: str = ""
) -> Sign:
    """A sign that shows one of two pictures by the angle.

    Args:
        first: C x H x W, of 1 or 3 channels: seen at angles below the lenses' switch.
        second: the same shape: seen above.
        lenses: over the print.
        shape: of the sign, as `evofool.signs.plates.make_sign` takes it.
        name: for people.

    Raises:
        ImageError, UsageError: pictures of different shapes, or no sign.
    """
    printed = lenses.interlaced(first, second)
    size = (max(printed.shape[1:]), max(printed.shape[1:]))

    def picture(angle: float) -> UInt8Images:
        rows = lenses.seen(printed, angle).transpose(1, 2, 0)
        square = cv2.resize(np.ascontiguousarray(rows), size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(square, np.uint8).reshape(*size[::-1], -1).transpose(2, 0, 1)

    plain = make_sign(picture(lenses.switch), shape, name or "a lenticular sign")

    def seen_at(angle: float) -> FloatImages:
        return make_sign(picture(angle), shape).picture

    return Sign(plain.name, plain.picture, plain.opacity, seen_at)


def glances(
    scorer: Scorer, sign: Sign, classes: tuple[int, int], lenses: Lenses, angles: Sequence[float]
) -> list[Glance]:
    """What is read on a sign from each angle: a query each.

    It is seen without a street, light or blur, and not foreshortened, as a detector's box undoes
    that.

    Args:
        scorer: of the victim.
        sign: made by `lenticular_sign`.
        classes: of the first and of the second picture.
        lenses: of the sign.
        angles: in degrees.

    Raises:
        BudgetError, ScoringError: as `Scorer.score`.
    """
    victim = scorer.classifier
    crops = [to_uint8(sign.seen(angle)).transpose(1, 2, 0) for angle in angles]
    images = np.stack([as_input(crop, victim) for crop in crops])
    if victim.output == "label":
        read, _, _ = ask(scorer, images, Aim(target=classes[1]))
        return [
            Glance(angle, lenses.second(angle), label, None, None)
            for angle, label in zip(angles, read, strict=True)
        ]
    scores = scorer.score(images, keep_unscored=True)
    return [
        Glance(
            angle,
            lenses.second(angle),
            int(label) if scored else -1,
            float(row[classes[0]]) if scored else None,
            float(row[classes[1]]) if scored else None,
        )
        for angle, row, label, scored in zip(
            angles, scores.confidence, scores.labels, scores.scored, strict=True
        )
    ]
