"""The Square attack: random search over square windows, one query a try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Attack, Needs
from evofool.attacks.job import Job, Rows
from evofool.attacks.lattice.levels import FUZZ, toward
from evofool.attacks.query.black_box import make_current, part, progress
from evofool.attacks.query.bumps import bump, tiles
from evofool.errors import UsageError
from evofool.images import FloatImages, UInt8Images, to_float

Window = tuple[NDArray[np.int64], ...]
"""Index of one square window in each of n images: it picks out n x C x s x s."""

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After these tries of 10,000 the share of pixels is halved (the authors' code)."""


@dataclass(frozen=True)
class Square(Attack):
    """Random search over windows (Andriushchenko et al., ECCV 2020, 1912.00049, algorithms 1-3).

    Linf: stripes of +-eps, then squares set to +-eps a channel. L2: a grid of bumps, then a bump
    that takes over the norm of a second window. A try is kept if it is strictly nearer to the goal.

    Every try is a picture: `eps` is cut to whole levels (Linf), bumps are rounded inside the ball
    (L2). So the float image of the result is the picture, and no try is scored twice.

    Attributes:
        eps: radius, in fractions of 1.
        norm: ``linf`` or ``l2``.
        queries: most tries an image.
        p_init: share of the pixels in the first windows; .05 for Linf and .1 for L2 by default,
            as the authors for undefended nets (they take .3 to .8 for defended ones).
        rescale: squeeze the schedule of shrinking windows, which is made for 10,000 tries, into
            `queries`, as the authors do. A short search then has tiny windows after a few tries,
            and needs about twice the queries.
    """

    name: ClassVar[str] = "square"
    needs: ClassVar[Needs] = "scores"
    paper: ClassVar[str] = "Andriushchenko et al., ECCV 2020"

    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    queries: int = 5000
    p_init: float | None = None
    rescale: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("norm", ("linf", "l2"))
        if self.queries < 1:
            raise UsageError(f"{self.name}: queries must be at least 1, not {self.queries}")
        if self.p_init is not None and not 0 < self.p_init <= 1:
            raise UsageError(
                f"{self.name}: p_init must be above 0 and at most 1, not {self.p_init}"
            )

    @property
    def most_queries(self) -> int:
        return self.queries + 2  # picture and floats are judged

    def craft(self, job: Job) -> None:
        levels = int(np.floor(self.eps * 255 + FUZZ))
        if self.norm == "linf" and levels == 0:
            return
        search = _Linf(job, levels) if self.norm == "linf" else _L2(job, self.eps)
        active = job.rows()
        best = np.full(len(job), -np.inf)
        rngs = [job.rng(row) for row in range(len(job))]
        for number in range(self.queries):
            mine = [rngs[row] for row in active.tolist()]
            if number == 0:
                tried = search.first(active, mine)
            else:
                tried = search.next(active, mine, self.share(number - 1))
            scores = job.scores(active, tried)
            near = progress(job, active, scores)
            better = (near > best[active]) | (number == 0)
            best[active[better]] = near[better]
            search.keep(active, better, tried)
            kept = active[better]
            done = make_current(job, kept, tried[better], part(scores, better))
            active = np.setdiff1d(active, kept[done], assume_unique=True)
            if not len(active):
                return

    def share(self, number: int) -> float:
        """The share of pixels in the windows of try `number`, from 0 after the first picture."""
        at = number * 10_000 // self.queries if self.rescale else number
        first = self.p_init or (0.05 if self.norm == "linf" else 0.1)
        return first / 2.0 ** sum(at > halving for halving in HALVINGS)


class _Search:
    """The current pictures and the next ones to try, in one norm."""

    def __init__(self, job: Job) -> None:
        self.clean = job.clean
        self.best: UInt8Images = job.clean.copy()
        self.channels, self.mask = job.clean.shape[1], job.mask
        self.down, self.across = job.window
        self.height = self.down.stop - self.down.start
        self.width = self.across.stop - self.across.start

    def first(self, rows: Rows, rngs: list[np.random.Generator]) -> UInt8Images:
        """Where the search starts."""
        raise NotImplementedError

    def next(self, rows: Rows, rngs: list[np.random.Generator], share: float) -> UInt8Images:
        """Pictures that differ in windows of `share` of the pixels."""
        raise NotImplementedError

    def keep(self, rows: Rows, better: NDArray[np.bool_], tried: UInt8Images) -> None:
        """Go on from those of the last pictures that were better."""
        self.best[rows[better]] = tried[better]

    def window(self, rngs: list[np.random.Generator], side: int) -> Window:
        """A square at a random place of each image."""
        top = np.array([rng.integers(0, self.height - side + 1) for rng in rngs], np.int64)
        left = np.array([rng.integers(0, self.width - side + 1) for rng in rngs], np.int64)
        top, left = top + self.down.start, left + self.across.start
        step = np.arange(side)
        return (
            np.arange(len(rngs))[:, None, None, None],
            np.arange(self.channels)[None, :, None, None],
            (top[:, None] + step)[:, None, :, None],
            (left[:, None] + step)[:, None, None, :],
        )


class _Linf(_Search):
    def __init__(self, job: Job, levels: int) -> None:
        super().__init__(job)
        self.levels = levels

    def first(self, rows: Rows, rngs: list[np.random.Generator]) -> UInt8Images:
        signs = np.stack([_signs(rng, (self.channels, 1, self.width)) for rng in rngs])
        tried = self.clean[rows]
        part = (slice(None), slice(None), self.down, self.across)
        tried[part] = self._moved(tried[part], signs)
        return tried if self.mask is None else np.where(self.mask, tried, self.clean[rows])

    def next(self, rows: Rows, rngs: list[np.random.Generator], share: float) -> UInt8Images:
        side = round((share * self.height * self.width) ** 0.5)
        side = min(max(side, 1), max(min(self.height, self.width) - 1, 1))
        tried = self.best[rows]
        window = self.window(rngs, side)
        clean, before = self.clean[rows][window], tried[window]
        after = before.copy()
        same = np.arange(len(rows))
        for _ in range(64):  # a try that changes nothing would be a query for nothing
            signs = np.stack([_signs(rngs[i], (self.channels, 1, 1)) for i in same.tolist()])
            after[same] = self._moved(clean[same], signs)
            if self.mask is not None:
                after = np.where(self.mask[window[2:]], after, clean)
            same = same[(after[same] == before[same]).all(axis=(1, 2, 3))]
            if not len(same):
                break
        tried[window] = after
        return tried

    def _moved(self, clean: UInt8Images, signs: NDArray[np.int16]) -> UInt8Images:
        moved: UInt8Images = np.clip(clean + np.int16(self.levels) * signs, 0, 255).astype(np.uint8)
        return moved


class _L2(_Search):
    def __init__(self, job: Job, eps: float) -> None:
        super().__init__(job)
        self.eps = eps
        self.delta: FloatImages = np.zeros(job.clean.shape, np.float32)
        """The perturbations before rounding, images on [0, 1]."""
        self._tried = self.delta

    def first(self, rows: Rows, rngs: list[np.random.Generator]) -> UInt8Images:
        delta = np.zeros((len(rows), *self.clean.shape[1:]), np.float32)
        for top, left, side in tiles(self.height, self.width):
            top, left = top + self.down.start, left + self.across.start
            turned = np.stack([bump(side, bool(rng.integers(0, 2))) for rng in rngs])
            signs = np.stack([_signs(rng, (self.channels, 1, 1)) for rng in rngs])
            delta[:, :, top : top + side, left : left + side] = turned[:, None] * signs
        return self._scaled(rows, delta)

    def next(self, rows: Rows, rngs: list[np.random.Generator], share: float) -> UInt8Images:
        most = min(self.height, self.width)
        side = min(max(round((share * self.height * self.width) ** 0.5), 3), most)
        side -= (side % 2 == 0) and side == most
        side += side % 2 == 0
        delta = self.delta[rows]
        source, other = self.window(rngs, side), self.window(rngs, side)
        union = np.zeros(delta.shape, np.bool_)
        union[source] = union[other] = True
        free = self.eps**2 - _squares(delta, (1, 2, 3))
        norm = np.maximum(free, 0) / self.channels + _squares(delta * union, (2, 3))
        old = delta[source]
        new = np.stack([bump(side, bool(rng.integers(0, 2))) for rng in rngs])[:, None]
        new = new * np.stack([_signs(rng, (self.channels, 1, 1)) for rng in rngs])
        new = new + old / np.maximum(np.sqrt(_squares(old, (2, 3))), 1e-10)
        new *= np.sqrt(norm) / np.maximum(np.sqrt(_squares(new, (2, 3))), 1e-10)
        delta[other] = 0
        delta[source] = new
        return self._scaled(rows, delta)

    def keep(self, rows: Rows, better: NDArray[np.bool_], tried: UInt8Images) -> None:
        super().keep(rows, better, tried)
        self.delta[rows[better]] = self._tried[better]

    def _scaled(self, rows: Rows, delta: FloatImages) -> UInt8Images:
        """The pictures at `delta` stretched to the ball's surface, and never outside the ball."""
        clean = to_float(self.clean[rows])
        if self.mask is not None:
            delta *= self.mask
        delta *= self.eps / np.maximum(np.sqrt(_squares(delta, (1, 2, 3))), 1e-10)
        moved = np.clip(clean + delta, 0, 1).astype(np.float32)
        self._tried = moved - clean
        return nearest_inside(moved, self.clean[rows], self.eps)


def nearest_inside(x: FloatImages, clean: UInt8Images, eps: float) -> UInt8Images:
    """`x` rounded to the nearest levels, moved inwards where that left the L2 ball of `eps`.

    Rounding every pixel towards the clean picture would stay inside too, but wastes a good part of
    a radius that is only a few levels a pixel.

    Args:
        x: N x C x H x W on [0, 1].
        clean: the centres of the balls, N x C x H x W.
        eps: the radius, for images on [0, 1].
    """
    step = x * np.float32(255) - clean
    nearest = np.clip(np.rint(clean + step), 0, 255).astype(np.uint8)
    for shrink in (0.999, 0.997, 0.99, 0.97, 0.9, 0.8):
        delta = (nearest.astype(np.float64) - clean) / 255
        out = np.sqrt((delta**2).sum(axis=(1, 2, 3))) > eps
        if not out.any():
            return nearest
        nearer = clean[out] + step[out] * np.float32(shrink)
        nearest[out] = np.clip(np.rint(nearer), 0, 255).astype(np.uint8)
    delta = (nearest.astype(np.float64) - clean) / 255
    out = np.sqrt((delta**2).sum(axis=(1, 2, 3))) > eps
    nearest[out] = toward(x[out], clean[out])
    return nearest


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int16]:
    signs: NDArray[np.int16] = rng.integers(0, 2, shape).astype(np.int16) * 2 - 1
    return signs


def _squares(values: NDArray[np.floating], axis: tuple[int, ...]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = (values.astype(np.float64) ** 2).sum(axis=axis, keepdims=True)
    return sums
