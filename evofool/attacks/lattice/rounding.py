"""The least perturbation in whole levels: what DeepFool and C&W save instead of a rounded float.

At 224 x 224 a textbook minimal perturbation is about a quarter of a level a channel, and rounding
wipes it out. Near the boundary the margin is linear in the pixels, so the picture is chosen on the
lattice itself: among integer perturbations d of the clean levels, minimise |d|^2 subject to a gain
w.d of the margin. The l-th level of coordinate i costs l^2 - (l-1)^2 = 2l - 1 and gains |w_i|;
the gains per cost fall with l, so taking levels greedily by |w_i| / (2l - 1) is optimal for every
gain that it passes through (a convex knapsack), and one sort gives all of these pictures at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.job import Job, Rows
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.scoring import Scores

Floats = NDArray[np.float64]

MOST_LEVELS = 2**22
"""Levels after which a ladder ends, whatever gain it was to reach."""
REACH = 6.0
"""Ladders go on to this many times the gain that is enough by the linear model."""
FURTHEST = 1e6
"""Stands for an infinite lead, with which no slope could be computed."""
GROUP = 64
"""Images whose ladders are held at once."""


@dataclass(frozen=True)
class Ladder:
    """Pictures of growing gain, each the nearest to the clean one among all that gain as much.

    They are reached one after another by n single steps, each of one level of one coordinate.

    Attributes:
        clean: uint8 C x H x W.
        signs: (C * H * W,), the direction in which each coordinate moves: -1, 0 or 1.
        order: (n,), the coordinate that each step changes, an index into the flat picture.
        gains: (n,), the gain of the margin by all steps so far, according to the linear model.
        squares: (n,), the squared length of the perturbation so far, in levels.
    """

    clean: UInt8Images
    signs: NDArray[np.int8]
    order: NDArray[np.int32]
    gains: Floats
    squares: NDArray[np.int64]

    @property
    def top(self) -> float:
        """The largest gain it reaches."""
        return float(self.gains[-1]) if len(self.gains) else 0.0

    def levels(self, gain: float) -> int:
        """How many levels are taken for `gain` (all, where it is out of reach)."""
        return min(int(np.searchsorted(self.gains, gain)) + 1, len(self.gains))

    def square(self, gain: float) -> int:
        """Squared length of `picture(gain)` - clean, in levels."""
        return int(self.squares[self.levels(gain) - 1]) if len(self.gains) else 0

    def picture(self, gain: float) -> UInt8Images:
        """The first picture that gains at least `gain`, uint8 C x H x W."""
        counts = np.bincount(self.order[: self.levels(gain)], minlength=self.clean.size)
        moved = self.clean.reshape(-1) + self.signs * counts
        return moved.astype(np.uint8).reshape(self.clean.shape)


def ladder(clean: UInt8Images, slope: FloatImages, gain: float) -> Ladder:
    """The greedy pictures up to `gain`.

    Args:
        clean: uint8 C x H x W.
        slope: d margin / d image for images on [0, 1], C x H x W.
        gain: of the margin; the ladder ends once it is reached, or where no level is left.
    """
    flat = slope.reshape(-1).astype(np.float64)
    levels = clean.reshape(-1).astype(np.int64)
    room = np.where(flat > 0, 255 - levels, levels)
    each = np.abs(flat) / 255
    each[room == 0] = 0.0
    counts = _counts(each, room, gain)
    order = np.repeat(np.arange(len(flat), dtype=np.int32), counts)
    level = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    cost = 2 * level - 1
    sort = np.argsort(-each[order] / cost, kind="stable")
    order = order[sort]
    return Ladder(
        clean, np.sign(flat).astype(np.int8), order, np.cumsum(each[order]), np.cumsum(cost[sort])
    )


def _counts(each: Floats, room: NDArray[np.int64], gain: float) -> NDArray[np.int64]:
    """Levels of each coordinate whose gain per cost is above a bound low enough for `gain`."""
    bound = float(each.max(initial=0.0))
    counts = np.zeros_like(room)
    if bound == 0:
        return counts
    most = np.where(each > 0, room, 0)
    while True:
        wider = np.minimum(np.floor((each / bound + 1) / 2), most).astype(np.int64)
        if counts.any() and wider.sum() > MOST_LEVELS:
            return counts
        counts = wider
        if float(each @ counts) >= gain or np.array_equal(counts, most):
            return counts
        bound /= 2


class Rounder:
    """Searches the ladders of a job's rows for the nearest picture that fools.

    Forward passes alone decide: the gain to reach is scaled up until the picture fools and then
    down again by interpolation of the margins seen. At every moment the job holds the best
    picture of a row so far, with the victim's answer to it.

    Args:
        job: where pictures go and passes are booked.
        lead: margin that a picture must have (kappa of C&W).
        trials: most pictures tried on one ladder.
        tolerance: share by which the gain may exceed the least that is enough by interpolation.
    """

    def __init__(
        self, job: Job, *, lead: float = 0.0, trials: int = 8, tolerance: float = 0.01
    ) -> None:
        self.job = job
        self.lead = lead
        self.trials = trials
        self.tolerance = tolerance
        self.squares: dict[int, int] = {}
        """Squared length in levels of each row's picture that fools."""
        self.nearest: dict[int, UInt8Images] = {}
        """Of rows without such a picture, the one that came nearest to fooling, uint8 C x H x W."""

    def settle(
        self,
        rows: Rows,
        at: FloatImages,
        slopes: FloatImages,
        margins: NDArray[np.floating],
        clean_margins: NDArray[np.floating],
    ) -> NDArray[np.bool_]:
        """Search the ladders that belong to linear models of the margins.

        Args:
            rows: (n,), rows of the job.
            at: the images at which the models were taken, n x C x H x W on [0, 1].
            slopes: d margin / d image there, n x C x H x W.
            margins: (n,), the margins there.
            clean_margins: (n,), the margins of the clean pictures.

        Returns:
            (n,), whether the row has a picture that fools.

        Raises:
            BudgetSpent: as `Job.scores`.
        """
        for i in range(0, len(rows), GROUP):
            part = slice(i, i + GROUP)
            offsets = (self.job.start[rows[part]] - at[part]).astype(np.float64)
            model = margins[part] + (slopes[part] * offsets).sum(axis=(1, 2, 3))
            self._search(rows[part], slopes[part], model, clean_margins[part].astype(np.float64))
        return self.settled(rows)

    def settled(self, rows: Rows) -> NDArray[np.bool_]:
        """Whether each of the rows has a picture that fools, (n,)."""
        return np.array([row in self.squares for row in rows.tolist()], np.bool_)

    def again(
        self, rows: Rows, clean_margins: NDArray[np.floating], times: int
    ) -> NDArray[np.bool_]:
        """Take new models at the pictures that came nearest to fooling, `times` at most.

        Args:
            rows: (n,), rows of the job.
            clean_margins: (n,), the margins of the clean pictures.
            times: how often at most.

        Returns:
            (n,), whether the row has a picture that fools.
        """
        for _ in range(times):
            left = np.array([row in self.nearest for row in rows.tolist()], np.bool_)
            if not left.any():
                break
            here = rows[left]
            at = to_float(np.stack([self.nearest[row] for row in here.tolist()]))
            self.touching(here, at, clean_margins[left])
        return self.settled(rows)

    def touching(
        self, rows: Rows, at: FloatImages, clean_margins: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """`settle` with models taken here, at one forward and one backward image each.

        Args:
            rows: (n,), rows of the job.
            at: the images at which the models are taken, n x C x H x W on [0, 1].
            clean_margins: (n,), the margins of the clean pictures.

        Returns:
            (n,), whether the row has a picture that fools.
        """
        answer = self.job.gradients(rows, at, self.job.goal.margin)
        return self.settle(rows, at, answer.values, answer.loss, clean_margins)

    def _search(self, rows: Rows, slopes: FloatImages, model: Floats, clean: Floats) -> None:
        # a model in which nothing is missing at the clean picture is wrong about how much
        other = np.minimum(clean, self.lead - 1e-3)
        lacking = self.lead - np.where(model < self.lead, model, other)
        ladders = [
            ladder(self.job.clean[row], slope, REACH * gain)
            for row, slope, gain in zip(rows.tolist(), slopes, lacking.tolist(), strict=True)
        ]
        top = np.array([rungs.top for rungs in ladders])
        gain = np.minimum(lacking * 1.02, top)
        low, low_margin = np.zeros(len(rows)), clean.copy()
        high, high_margin = np.full(len(rows), np.inf), np.zeros(len(rows))
        best = np.full(len(rows), -np.inf)
        active = np.flatnonzero(top > 0)
        for _ in range(self.trials):
            if not len(active):
                return
            pictures = np.stack([ladders[i].picture(float(gain[i])) for i in active])
            scores = self.job.scores(rows[active], pictures)
            margin = margins_of(self.job, rows[active], scores)
            fools = margin >= self.lead
            if not self.job.scorer.classifier.multi_label:  # whose margin is all that counts
                fools &= self.job.goal.success(scores.labels, rows[active])
            for k, i in enumerate(active.tolist()):
                if fools[k]:
                    high[i], high_margin[i] = gain[i], margin[k]
                    square = ladders[i].square(float(gain[i]))
                    self._keep(int(rows[i]), pictures[k], square, scores, k)
                else:
                    low[i], low_margin[i] = gain[i], margin[k]
                    if margin[k] > best[i]:
                        best[i] = margin[k]
                        self.nearest[int(rows[i])] = pictures[k]
            gain, more = self._next(gain, low, low_margin, high, high_margin, clean, top)
            active = active[more[active]]

    def _next(
        self,
        gain: Floats,
        low: Floats,
        low_margin: Floats,
        high: Floats,
        high_margin: Floats,
        clean: Floats,
        top: Floats,
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """The gains to try next, and which rows need another trial."""
        bracketed = np.isfinite(high)
        upper = np.where(bracketed, high, 1.0)
        span = upper - low
        rise = np.maximum(high_margin - low_margin, 1e-12)
        crossing = low + span * np.clip((self.lead - low_margin) / rise, 0.0, 1.0)
        inside = np.clip(crossing + 0.25 * self.tolerance * upper, low + 0.1 * span, upper)
        # below the boundary all along: go on at the slope seen so far
        climbed = np.maximum(low_margin - clean, 1e-12)
        beyond = low * np.clip(1.05 * (self.lead - clean) / climbed, 1.25, 3.0)
        proposed = np.where(bracketed, inside, np.minimum(beyond, top))
        more = np.where(bracketed, upper - crossing > self.tolerance * upper, low < top)
        return proposed, more

    def _keep(self, row: int, picture: UInt8Images, square: int, scores: Scores, at: int) -> None:
        if square >= self.squares.get(row, np.iinfo(np.int64).max):
            return
        self.squares[row] = square
        self.nearest.pop(row, None)
        self.job.pixels[row] = picture
        rows = np.array([row])
        self.job.touch(rows)
        self.job.known(rows, take(scores, slice(at, at + 1)))


def take(scores: Scores, which: slice) -> Scores:
    """The scores of some of the images."""
    outputs, top = scores.outputs, scores.top
    return dataclasses.replace(
        scores,
        log_odds=scores.log_odds[which],
        outputs=None if outputs is None else outputs[which],
        top=None if top is None else top[which],
    )


def margins_of(job: Job, rows: Rows, scores: Scores) -> Floats:
    """`Goal.margin` of the scores of pictures of `rows`, (n,), in float64.

    On the logits where the victim gives them, else on the logarithms of its confidences (on its
    log-odds, where several classes may be claimed).
    """
    if job.scorer.classifier.output == "logits" and scores.outputs is not None:
        values = np.asarray(scores.outputs, dtype=np.float64)
    elif job.scorer.classifier.multi_label:
        values = scores.log_odds
    else:
        values = -np.logaddexp(0.0, -scores.log_odds)
    sought = job.goal.sought[rows][:, None]
    own = np.take_along_axis(values, sought, 1)[:, 0]
    victim = job.scorer.classifier
    if victim.multi_label:
        lead: Floats = job.goal.sign[rows] * own
        return np.nan_to_num(lead, nan=-FURTHEST, posinf=FURTHEST, neginf=-FURTHEST)
    others = values.copy()
    np.put_along_axis(others, sought, -np.inf, 1)
    sign, reject = job.goal.sign[rows], job.scorer.classifier.reject
    if reject is not None:
        # rivals of a target are all the rest; of any other class, the label and the rejection
        declined = others[:, reject].copy()
        own = np.where(sign < 0, np.maximum(own, declined), own)
        others[sign < 0, reject] = -np.inf
    with np.errstate(invalid="ignore"):  # -inf where a class is masked, NaN without scores
        leads = sign * (own - others.max(axis=1))
    finite: Floats = np.nan_to_num(leads, nan=-FURTHEST, posinf=FURTHEST, neginf=-FURTHEST)
    return finite
