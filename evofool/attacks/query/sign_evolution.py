"""What `sign-embedding` looks for, by evolution: for victims that give no gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from deap import cma
from numpy.typing import NDArray

from evofool.attacks.base import Aim, Attack, Needs
from evofool.attacks.job import Job, Rows
from evofool.attacks.lattice.signs import SHAPES, SignShape, sign_mask
from evofool.attacks.query.black_box import make_current, part, progress
from evofool.errors import UsageError
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.randomness import PrivateNumPy, private_draws, rebound

INSIDE = np.float32(0.98)
"""As of `sign-embedding`."""
LEAST = -1e3
"""Log-odds of a class that is not listed, or that a picture without scores is given."""
TOP = 5.0
"""What stands for log-odds where every vote is for the target."""


class _Fitness:
    """What DEAP's strategy asks of a fitness: its value, to sort by, the larger the better."""

    def __init__(self) -> None:
        self.value = -math.inf

    def __gt__(self, other: _Fitness) -> bool:
        return self.value > other.value

    def __lt__(self, other: _Fitness) -> bool:
        return self.value < other.value


class _Point(np.ndarray[tuple[int], np.dtype[np.float64]]):
    """An array that carries one."""

    fitness: _Fitness


def _point(vector: NDArray[np.float64]) -> _Point:
    point = vector.view(_Point)
    point.fitness = _Fitness()
    return point


@dataclass(frozen=True)
class SignEvolution(Attack):
    """CMA-ES (DEAP's) over a coarse grid of colours, for the objective of `sign-embedding`.

    The picture is (tanh(w0 + g) + 1) / 2 on the board of the sign, where w0 gives the clean picture
    and g is a grid of `grid` x `grid` values a channel, interpolated to the picture's size
    (bicubic). Ranked is min(log-odds of the target, `kappa`) minus max(|d|_1 - l, 0) / c, as in
    Sitawarin et al. 2018 with log-odds for the margin. DEAP's strategy is Hansen and Ostermeier's
    (2001). A picture that succeeds ends the search.

    Of a service that lists its five best classes alone the others rank below these, all alike. As
    long as no picture of a generation is listed under the target nothing is learnt from it. Where
    the victim gives labels alone, a picture that is called the target is asked for again with noise
    on its board, `votes` - 1 times, and the share that is called so stands for the log-odds (after
    Ilyas et al. 2018, 1804.08598, section 2.4); all of them are a success, of which no confidence
    is known.

    Attributes:
        sign: board that may be painted, as of `sign-embedding`; a `mask` takes its place.
        confidence: in the target, which a picture must reach to be a success.
        queries: most pictures an image.
        grid: values of a side of the grid.
        population: pictures of a generation.
        sigma: standard deviation of the first generation, in w.
        kappa: log-odds of the target from which on only the change counts.
        c: weight of the log-odds.
        free: mean change of the board's values that costs nothing: l is this times their number.
        votes: of labels: how often a picture is asked for that is called the target.
        noise: its standard deviation, of a range of 1.
    """

    name: ClassVar[str] = "sign-evolution"
    needs: ClassVar[Needs] = "labels"
    aim: ClassVar[Aim] = "targeted"
    paper: ClassVar[str] = "Sitawarin et al., 2018; Hansen and Ostermeier, 2001"

    sign: SignShape = "disc"
    confidence: float = 0.99
    queries: int = 1000
    grid: int = 6
    population: int = 20
    sigma: float = 1.0
    kappa: float = 5.0
    c: float = 100.0
    free: float = 0.02
    votes: int = 8
    noise: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("sign", SHAPES)
        self.check_positive("sigma", "c", "noise")
        for name, least, most in (
            ("queries", 1, 2**31), ("grid", 1, 32), ("population", 4, 10**4), ("votes", 1, 100),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise UsageError(
                    f"{self.name}: {name} must be {least} to {most:,}, not {getattr(self, name)}"
                )
        if not 0 < self.confidence < 1:
            raise UsageError(
                f"{self.name}: confidence must be above 0 and below 1, not {self.confidence}"
            )
        if not 0 <= self.free <= 1:
            raise UsageError(f"{self.name}: free must be between 0 and 1, not {self.free}")

    @property
    def least_confidence(self) -> float:
        return self.confidence

    @property
    def most_queries(self) -> int:
        return self.queries + 1

    def craft(self, job: Job) -> None:
        mask = job.mask
        if mask is None:
            mask = sign_mask(self.sign, job.scorer.classifier.input_shape)
        active = [_Search(self, job, row, mask) for row in range(len(job))]
        labels_alone = job.scorer.classifier.output == "label"
        while active := [search for search in active if search.left > 0]:
            each = [search.pictures() for search in active]
            starts = np.cumsum([0, *(len(one) for one in each)])
            rows = np.repeat([search.row for search in active], np.diff(starts))
            pictures = np.concatenate(each)
            if labels_alone:
                scores, near = None, self._shares(job, active, rows, pictures)
                hits = near >= TOP
            else:
                scores = job.scores(rows, pictures)
                near = np.nan_to_num(progress(job, rows, scores), nan=LEAST, neginf=LEAST)
                hits = job.hits(rows, scores)
            best: list[int] = []
            risen: list[_Search] = []
            for search, a, b in zip(active, starts[:-1].tolist(), starts[1:].tolist(), strict=True):
                chosen = search.told(pictures[a:b], near[a:b], hits[a:b])
                if chosen is not None:
                    best.append(a + chosen)
                    risen.append(search)
            found = np.array(best, np.int64)
            own: Rows = np.array([search.row for search in risen], np.int64)
            if scores is not None:
                through = make_current(job, own, pictures[found], part(scores, found))
            else:
                job.x[own] = to_float(pictures[found])
                job.pixels.update(zip(own.tolist(), pictures[found], strict=True))
                job.touch(own)
                through = hits[found]
                job.open[own[through]] = False
            done = set(own[through].tolist())
            active = [search for search in active if search.row not in done]

    def _shares(
        self, job: Job, searches: Sequence[_Search], rows: Rows, pictures: UInt8Images
    ) -> NDArray[np.float64]:
        """How often pictures are called the target, (n,): `LEAST` of never, up to `TOP`.

        Args:
            job: the call of the attack.
            searches: of all rows.
            rows: (n,) rows of it, in the order of `searches`.
            pictures: uint8 n x C x H x W.
        """
        named = job.labels_of(rows, pictures) == job.targets[rows]
        again: list[int] = []
        for search in searches:
            for k in np.flatnonzero(named & (rows == search.row)).tolist():
                if search.left >= self.votes - 1:
                    search.left -= self.votes - 1
                    again.append(k)
        votes = np.where(named, 1.0, 0.0)
        if again and self.votes > 1:
            by_row = {search.row: search for search in searches}
            copies = [by_row[int(rows[k])].noisy(pictures[k], self.votes - 1) for k in again]
            owners = np.repeat(rows[again], self.votes - 1)
            called = job.labels_of(owners, np.concatenate(copies)) == job.targets[owners]
            votes[again] += called.reshape(len(again), -1).sum(axis=1)
        return np.where(named, TOP * votes / self.votes, LEAST)


class _Search:
    """The search of one image."""

    def __init__(self, attack: SignEvolution, job: Job, row: int, mask: NDArray[np.bool_]) -> None:
        self.attack, self.row, self.mask = attack, row, mask
        self.left = attack.queries
        self.start: FloatImages = job.start[row]
        self.origin = np.arctanh((2 * self.start - 1) * INSIDE)
        self.allowed = attack.free * mask.sum() * len(self.start)
        self.best = -math.inf
        genes = attack.grid**2 * len(self.start)
        self._strategy: Any = cma.Strategy(
            centroid=np.zeros(genes), sigma=attack.sigma, lambda_=attack.population
        )
        draws = private_draws(job.rng(row)).numpy
        self._generate = rebound(cma.Strategy.generate, numpy=PrivateNumPy(draws))
        self._points: list[_Point] = []
        self._noise = job.rng(row, 1)

    def pictures(self) -> UInt8Images:
        """Those of the next generation, as far as queries are left."""
        self._points = self._generate(self._strategy, _point)
        grids = np.stack(self._points).reshape(
            len(self._points), len(self.start), self.attack.grid, self.attack.grid
        )
        height, width = self.mask.shape
        fields = np.stack(
            [
                [
                    cv2.resize(channel, (width, height), interpolation=cv2.INTER_CUBIC)
                    for channel in grid
                ]
                for grid in grids.astype(np.float32)
            ]
        )
        painted = (np.tanh(self.origin + fields) + 1) / 2
        x = np.where(self.mask, painted, self.start)
        pictures: UInt8Images = np.rint(x * np.float32(255)).astype(np.uint8)[: self.left]
        self.left -= len(pictures)
        return pictures

    def noisy(self, picture: UInt8Images, count: int) -> UInt8Images:
        """Copies of a picture with noise on the board: uint8 C x H x W to count x C x H x W."""
        noise = self._noise.standard_normal((count, *picture.shape), np.float32)
        moved = picture + noise * self.mask * np.float32(255 * self.attack.noise)
        copies: UInt8Images = np.rint(np.clip(moved, 0, 255)).astype(np.uint8)
        return copies

    def told(
        self, pictures: UInt8Images, near: NDArray[np.float64], hits: NDArray[np.bool_]
    ) -> int | None:
        """Learn from the generation; which of its pictures is the best so far, if one is.

        Args:
            pictures: n x C x H x W.
            near: (n,), log-odds of the target.
            hits: (n,), which are successes.
        """
        d = np.abs(pictures / np.float32(255) - self.start)
        over = np.maximum(d.sum(axis=(1, 2, 3), dtype=np.float64) - self.allowed, 0)
        values = np.minimum(near, self.attack.kappa) - over / self.attack.c
        # the last generation may be cut short, and where nothing is known nothing is learnt
        if len(pictures) == len(self._points) and near.max() > LEAST:
            for point, value in zip(self._points, values.tolist(), strict=True):
                point.fitness.value = value
            self._strategy.update(self._points)
        ranked = np.where(hits, values + 2 * abs(LEAST), near)
        chosen = int(np.argmax(ranked))
        if ranked[chosen] <= self.best:
            return None
        self.best = float(ranked[chosen])
        return chosen
