"""NES: the gradient from differences of scores, then steps along its sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Attack, Needs
from evofool.attacks.job import Job, Rows
from evofool.attacks.lattice.levels import FUZZ
from evofool.attacks.query.black_box import make_current, part, progress
from evofool.errors import UsageError
from evofool.images import UInt8Images

Levels = NDArray[np.float32]
"""float32 n x C x H x W, images or perturbations in levels of 1/255."""

VALUES = 2**25
"""About so many channel values of samples are held at once."""


@dataclass(frozen=True)
class NES(Attack):
    """Natural evolution strategies (Ilyas et al., ICML 2018, 1804.08598, section 2.3).

    g = sum of f(x + d) - f(x - d), times d, over antithetic Gaussian d; m = momentum m + (1 -
    momentum) g; x <- project(x + lr sign(m)); the step is halved where f has not risen for some
    steps. f is the lead over the best other class (untargeted) or the target's log-odds.

    Only pictures are sent to the victim: x +- d is rounded to whole levels and stays in the ball,
    and d is then the difference of the picture sent. So any of them that fools is a result, and
    ends the attack.

    Attributes:
        eps: radius in the maximum norm, cut to whole levels.
        queries: most pictures an image.
        samples: pictures a gradient, half of them antithetic; the last estimate takes as many as
            are left.
        sigma: standard deviation of d. The paper's .001 is a quarter of a level, which leaves one
            pixel in twenty to differ; larger ones lose less to rounding.
        lr: length of the first steps.
        min_lr: of the last ones.
        momentum: of the gradient estimates.
        plateau: halve the step if f has not risen over so many steps.
    """

    name: ClassVar[str] = "nes"
    needs: ClassVar[Needs] = "scores"
    paper: ClassVar[str] = "Ilyas et al., ICML 2018"

    eps: float = 8 / 255
    queries: int = 10_000
    samples: int = 50
    sigma: float = 4 / 255
    lr: float = 0.01
    min_lr: float = 1 / 255
    momentum: float = 0.9
    plateau: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("sigma", "lr", "min_lr")
        for name, least in (("queries", 1), ("samples", 2), ("plateau", 1)):
            if getattr(self, name) < least:
                raise UsageError(
                    f"{self.name}: {name} must be at least {least}, not {getattr(self, name)}"
                )
        if self.samples % 2:
            raise UsageError(f"{self.name}: samples must be even (pairs), not {self.samples}")
        if not 0 <= self.momentum < 1:
            raise UsageError(
                f"{self.name}: momentum must be at least 0 and below 1, not {self.momentum}"
            )

    @property
    def most_queries(self) -> int:
        return self.queries + 2  # picture and floats are judged

    def craft(self, job: Job) -> None:
        eps = float(np.floor(self.eps * 255 + FUZZ))
        if eps == 0:
            return
        state = _State(job, eps, self.lr)
        rows = job.rows()
        asked = np.ones(len(job), np.int64)  # the picture as it stands, once a step
        active = self._settle(job, state, rows)
        while len(active):
            active = active[asked[active] + 2 <= self.queries]
            left = []
            each = self.samples * job.clean[0].size
            for group in np.array_split(active, -(-len(active) * each // VALUES) or 1):
                pairs = np.minimum((self.queries - asked[group]) // 2, self.samples // 2)
                for count in np.unique(pairs):  # alike unless some are about to end
                    own = group[pairs == count]
                    asked[own] += 2 * count
                    left.append(self._estimate(job, state, own, int(count)))
            active = np.sort(np.concatenate(left)) if left else active[:0]
            active = active[asked[active] < self.queries]
            self._step(state, active)
            asked[active] += 1
            active = self._settle(job, state, active)

    def _estimate(self, job: Job, state: _State, rows: Rows, pairs: int) -> Rows:
        """Add an estimate to the momentum of `rows`; returns those that no sample fooled."""
        if not len(rows):
            return rows
        shape = job.clean.shape[1:]
        rngs = [state.rngs[row] for row in rows.tolist()]
        noise = np.stack([rng.standard_normal((pairs, *shape), np.float32) for rng in rngs])
        noise *= np.float32(255 * self.sigma)
        low, high = state.low[rows, None], state.high[rows, None]
        at = np.rint(state.x[rows])[:, None]
        both = np.stack([np.rint(at + noise), np.rint(at - noise)], axis=2)
        np.clip(both, low[:, None], high[:, None], out=both)
        pictures = both.astype(np.uint8).reshape(-1, *shape)
        owners = np.repeat(rows, 2 * pairs)
        scores = job.scores(owners, pictures)
        near = progress(job, owners, scores).reshape(len(rows), pairs, 2)
        best = near.reshape(len(rows), -1).argmax(axis=1) + np.arange(len(rows)) * 2 * pairs
        hit = job.hits(rows, part(scores, best))
        make_current(job, rows[hit], pictures[best[hit]], part(scores, best[hit]))
        change = _difference(near[:, :, 0], near[:, :, 1])
        # a pair of which one picture has no scores says nothing of the slope
        change[~scores.scored.reshape(len(rows), pairs, 2).all(axis=2)] = 0
        gradient = np.einsum("np,npchw->nchw", change, both[:, :, 0] - both[:, :, 1])
        gradient /= np.maximum(np.abs(gradient).max(axis=(1, 2, 3), keepdims=True), 1e-20)
        state.gradient[rows] *= np.float32(self.momentum)
        state.gradient[rows] += np.float32(1 - self.momentum) * gradient
        open_rows: Rows = rows[~hit]
        return open_rows

    def _step(self, state: _State, rows: Rows) -> None:
        length = (255 * state.lr[rows])[:, None, None, None].astype(np.float32)
        moved = state.x[rows] + length * np.sign(state.gradient[rows])
        state.x[rows] = np.clip(moved, state.low[rows], state.high[rows])

    def _settle(self, job: Job, state: _State, rows: Rows) -> Rows:
        """Judge the current pictures; returns the rows that do not fool."""
        if not len(rows):
            return rows
        pictures: UInt8Images = np.rint(state.x[rows]).astype(np.uint8)
        scores = job.scores(rows, pictures)
        near = progress(job, rows, scores)
        rise = near > state.best[rows]
        state.best[rows] = np.maximum(near, state.best[rows])
        state.waited[rows] = np.where(rise, 0, state.waited[rows] + 1)
        slow = rows[state.waited[rows] >= self.plateau]
        state.lr[slow] = np.maximum(state.lr[slow] / 2, min(self.min_lr, self.lr))
        state.waited[slow] = 0
        better = rows[rise]
        through = make_current(job, better, pictures[rise], part(scores, rise))
        return np.setdiff1d(rows, better[through], assume_unique=True)


class _State:
    """The search of each image, in levels."""

    def __init__(self, job: Job, eps: float, lr: float) -> None:
        clean = job.clean.astype(np.float32)
        self.x: Levels = clean.copy()
        self.low: Levels = np.maximum(clean - np.float32(eps), 0)
        self.high: Levels = np.minimum(clean + np.float32(eps), 255)
        if job.mask is not None:
            self.low = np.where(job.mask, self.low, clean)
            self.high = np.where(job.mask, self.high, clean)
        self.gradient: Levels = np.zeros_like(clean)
        self.best = np.full(len(job), -np.inf)
        self.waited = np.zeros(len(job), np.int64)
        self.lr = np.full(len(job), lr)
        self.rngs = [job.rng(row) for row in range(len(job))]


def _difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> Levels:
    """a - b; leads are infinite where a probability is exactly 0 or 1, and two such differ by 0."""
    with np.errstate(invalid="ignore"):
        difference: Levels = np.nan_to_num(a - b, nan=0.0, posinf=1e6, neginf=-1e6).astype(
            np.float32
        )
    return difference
