"""Carlini and Wagner's L2 attack: Adam in tanh space, a search over the weight of the margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Attack
from evofool.attacks.gradient.loop import lengths, note_vanishing
from evofool.attacks.job import Job, Rows
from evofool.attacks.lattice.rounding import Rounder
from evofool.errors import UsageError
from evofool.images import FloatImages

FLOATS_AT_ONCE = 2**25
"""Values of one state array (there are about eight) that are held at once."""
INSIDE = np.float32(0.999999)
"""Clean values are drawn in by this factor before artanh, as in the authors' code."""
BETA1, BETA2, TINY = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
MOST_C = 1e10
RATE = 3.0
"""See `CarliniWagner.learning_rate`; measured on mnist-lenet and imagenet-efficientnet-lite0."""


@dataclass(frozen=True)
class CarliniWagner(Attack):
    """min |x' - x|^2 + c max(kappa - margin(x'), 0), x' = (tanh w + 1) / 2.

    Carlini, Wagner, S&P 2017, 1608.04644, section V with f_6 on the logits. Adam minimises over w
    from the clean image, for each c of a search: c grows tenfold until an iterate has the margin
    kappa, then the interval is halved. The authors search 9 x 1000 steps from c = .001; here the
    first c is estimated from the first gradient and 5 x 100 steps follow (give `initial_c`,
    `search_steps` and `steps` for theirs). An iterate with the margin kappa takes no backward pass:
    its hinge is flat.

    `images_float` is the nearest iterate with that margin. The picture is the nearest on the ladder
    (see `rounding`) of the linear model there; its margin is at least kappa too.

    Attributes:
        kappa: margin in logits that an iterate must reach.
        search_steps: values of c that are tried.
        steps: most steps of Adam for each.
        learning_rate: of Adam (the authors': .01). By default `RATE` times the root mean square of
            the least perturbation that crosses the boundary of the linear model of the clean image:
            .01 is more than a level a step, several times what large images need at all.
        initial_c: the first c; by default twice that at which this perturbation is the optimum.
        abort_early: stop when a tenth of the steps has not lowered the loss by .01 %.
    """

    name: ClassVar[str] = "carlini-wagner"
    paper: ClassVar[str] = "Carlini and Wagner, S&P 2017"

    kappa: float = 0.0
    search_steps: int = 5
    steps: int = 100
    learning_rate: float | None = None
    initial_c: float | None = None
    abort_early: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("learning_rate", "initial_c"):
            if getattr(self, name) is not None:
                self.check_positive(name)
        for name in ("search_steps", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{self.name}: {name} must be at least 1")
        if not 0 <= self.kappa < float("inf"):
            raise UsageError(f"{self.name}: kappa must be 0 or more, not {self.kappa}")

    def craft(self, job: Job) -> None:
        size = max(1, FLOATS_AT_ONCE // max(1, job.start[0].size))
        for i in range(0, len(job), size):
            _Search(self, job, job.rows()[i : i + size]).run()


class _Search:
    """The search over c of some rows. Arrays here are indexed by place among these rows."""

    def __init__(self, attack: CarliniWagner, job: Job, rows: Rows) -> None:
        n = len(rows)
        self.attack, self.job, self.rows = attack, job, rows
        self.origin = np.arctanh((2 * job.start[rows] - 1) * INSIDE)
        self.c = np.full(n, attack.initial_c or np.nan)
        self.rate = np.full(n, attack.learning_rate or np.nan)
        self.low, self.high = np.zeros(n), np.full(n, np.inf)
        self.least = np.full(n, np.inf)
        """Squared length of the best iterate's perturbation."""
        self.clean_margins = np.full(n, np.nan, np.float32)
        self.rounder = Rounder(job, lead=attack.kappa)

    def run(self) -> None:
        """Search; the job holds the best iterates and pictures after every c."""
        places = np.arange(len(self.rows))
        for number in range(self.attack.search_steps):
            before = self.least.copy()
            success = self._descend(places)
            if number == 0:  # what fools as it is needs no search, what cannot be moved gets none
                done = success & (self.least == 0)
                done |= ~self._movable()
                self.job.open[self.rows[places[done[places]]]] = False
                places = places[~done[places]]
            better = places[self.least[places] < before[places]]
            if len(better):
                rows = self.rows[better]
                self.rounder.touching(rows, self.job.x[rows], self.clean_margins[better])
            if not len(places):
                return
            self._update(places, success)
        unfooled = places[np.isfinite(self.least[places])]
        self.rounder.again(self.rows[unfooled], self.clean_margins[unfooled], 2)
        self.job.open[self.rows] = False

    def _update(self, places: NDArray[np.int64], success: NDArray[np.bool_]) -> None:
        hit, missed = places[success[places]], places[~success[places]]
        self.high[hit] = np.minimum(self.high[hit], self.c[hit])
        self.low[missed] = np.maximum(self.low[missed], self.c[missed])
        halved = (self.low + self.high) / 2
        following = np.where(np.isfinite(self.high), halved, np.minimum(self.c * 10, MOST_C))
        self.c[places] = following[places]

    def _descend(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Adam at the present c of `places`; which had an iterate with the margin."""
        attack, job = self.attack, self.job
        w = self.origin.copy()
        first, second = np.zeros_like(w), np.zeros_like(w)
        success = np.zeros(len(self.rows), np.bool_)
        checked = np.full(len(self.rows), np.inf)
        every = -(-attack.steps // 10)
        for step in range(attack.steps):
            if not len(places):
                break
            rows = self.rows[places]
            # the first iterate is the clean image itself, not what artanh and tanh leave of it
            squash = np.tanh(w[places])
            x = (squash + 1) / 2 if step else job.start[rows]
            seen = job.gradients(rows, x, job.goal.climb, unless_fooled=True, lead=attack.kappa)
            if step == 0 and np.isnan(self.clean_margins[places]).any():
                note_vanishing(job, seen.values[seen.wanted])
                self.clean_margins[places] = seen.loss
                self._estimate(places, seen.loss, seen.values)
            offset = x - job.start[rows]
            squares = (offset.astype(np.float64) ** 2).sum(axis=(1, 2, 3))
            hit = ~seen.wanted
            success[places] |= hit
            nearer = hit & (squares < self.least[places])
            self.least[places[nearer]] = squares[nearer]
            job.x[rows[nearer]] = x[nearer]
            # a picture that stands is judged whatever becomes of the floats
            fresh = [row for row in rows[nearer].tolist() if row not in job.pixels]
            job.touch(np.array(fresh, np.int64))

            loss = squares + self.c[places] * np.maximum(attack.kappa - seen.loss, 0)
            going = self._movable()[places] & (self.least[places] > 0)
            if attack.abort_early and step % every == 0:
                going &= loss <= 0.9999 * checked[places]
                checked[places] = loss
            places = places[going]
            weight = self.c[places].astype(np.float32)[:, None, None, None]
            slope = 2 * offset[going] - weight * seen.values[going]
            slope *= (1 - squash[going] ** 2) / 2
            first[places] = BETA1 * first[places] + (1 - BETA1) * slope
            second[places] = BETA2 * second[places] + (1 - BETA2) * slope**2
            mean = first[places] / (1 - BETA1 ** (step + 1))
            spread = np.sqrt(second[places] / (1 - BETA2 ** (step + 1)))
            rate = self.rate[places].astype(np.float32)[:, None, None, None]
            w[places] -= rate * mean / (spread + TINY)
        return success

    def _movable(self) -> NDArray[np.bool_]:
        """Rows whose gradient gives a direction to move in."""
        both: NDArray[np.bool_] = np.isfinite(self.c) & np.isfinite(self.rate)
        return both

    def _estimate(
        self, places: NDArray[np.int64], margins: NDArray[np.float32], slopes: FloatImages
    ) -> None:
        """Rates and the first c of rows that have none, by linear models of the clean images.

        The least d with w.d = m has the length m / |w|, and is the optimum where 2 d = c w.
        """
        slope = lengths(slopes)
        missing = self.attack.kappa - margins.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = missing / slope
            rate = RATE * distance / np.sqrt(slopes[0].size)
            c = 2 * 2 * distance / slope
        for values, estimate in ((self.c, c), (self.rate, rate)):
            estimate[~(np.isfinite(estimate) & (estimate > 0))] = np.nan
            unset = np.isnan(values[places])
            values[places[unset]] = estimate[unset]
