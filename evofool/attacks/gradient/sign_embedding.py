"""Traffic signs, logos and custom boards that are read as a sign of the attacker's choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Aim, Attack
from evofool.attacks.gradient.loop import note_vanishing
from evofool.attacks.job import Job, Rows
from evofool.attacks.lattice.signs import SHAPES, SignShape, sign_mask
from evofool.attacks.query.black_box import part
from evofool.classifiers import Classifier
from evofool.errors import UsageError
from evofool.images import FloatImages

FLOATS_AT_ONCE = 2**25
"""Values of one state array (there are about eight) that are held at once."""
INSIDE = np.float32(0.98)
"""Values are drawn in by this factor before artanh: black and white could hardly move else."""
BETA1, BETA2, TINY = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
LAST = 0.1
"""The last step of Adam, as a share of the first."""
DECADES = 2.0
"""The search goes from ``initial_c`` up and down by so many powers of ten at most."""


@dataclass(frozen=True)
class SignEmbedding(Attack):
    """min c max(-margin, -kappa) + max(|d|_1, l) + smooth TV(d), d on the board of a sign alone.

    Sitawarin et al. 2018 (1801.02780, 1802.06430): from a logo or a blank board it is their Sign
    Embedding, from a photographed sign their in-distribution attack. The picture is
    (tanh w + 1) / 2 where the board is, and the clean one elsewhere, bit for bit. Adam minimises
    over w for each c of a search that halves log10 c between -2 and 2 around `initial_c`: a c whose
    picture succeeds is followed by a smaller one, which changes the picture less. The margin is the
    target's lead in logits. Where the victim looks at a picture through transforms
    (``classifier.transforms``), margin and success are those of the combined answer, as the paper's
    mean over 32 transforms: that is what makes a sign survive the street.

    TV(d) is the sum of |differences| between neighbours, across and down. Of all c the picture of
    the smallest that succeeds is kept, and if none does the one nearest to it.

    Attributes:
        sign: board that may be painted: ``disc``, ``octagon``, ``triangle``, ``yield`` (a
            triangle on its tip), ``diamond``, or the ``whole`` picture. A `mask` takes
            its place.
        confidence: in the target, which a picture must reach to be a success.
        kappa: margin in logits from which on the first term is flat.
        search_steps: values of c that are tried.
        steps: of Adam for each; the paper makes 1000.
        learning_rate: of Adam in w, at first; it falls in a straight line to a tenth of it.
        initial_c: weight of the first term that is tried first.
        free: mean change of the board's values that costs nothing: l is this times their number.
        smooth: weight of the total variation.
    """

    name: ClassVar[str] = "sign-embedding"
    aim: ClassVar[Aim] = "targeted"
    paper: ClassVar[str] = "Sitawarin et al., 2018"

    sign: SignShape = "disc"
    confidence: float = 0.99
    kappa: float = 5.0
    search_steps: int = 3
    steps: int = 300
    learning_rate: float = 0.1
    initial_c: float = 10.0
    free: float = 0.02
    smooth: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("sign", SHAPES)
        self.check_positive("learning_rate", "initial_c")
        for name in ("search_steps", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{self.name}: {name} must be at least 1")
        if not 0 < self.confidence < 1:
            raise UsageError(
                f"{self.name}: confidence must be above 0 and below 1, not {self.confidence}"
            )
        for name, most in (("kappa", math.inf), ("free", 1.0), ("smooth", math.inf)):
            value = getattr(self, name)
            if not (0 <= value <= most and math.isfinite(value)):
                raise UsageError(f"{self.name}: {name} must be 0 or more, not {value}")

    @property
    def least_confidence(self) -> float:
        return self.confidence

    def check_victim(self, victim: Classifier) -> None:
        if not victim.white_box:
            raise UsageError(
                f"{self.name} needs gradients, which {victim.name} does not give; its variant by"
                " evolution does without: {name: sign-evolution} in place of sign-embedding"
            )
        super().check_victim(victim)

    def craft(self, job: Job) -> None:
        mask = job.mask
        if mask is None:
            mask = sign_mask(self.sign, job.scorer.classifier.input_shape)
        size = max(1, FLOATS_AT_ONCE // max(1, job.start[0].size))
        for i in range(0, len(job), size):
            _Search(self, job, job.rows()[i : i + size], mask).run()


class _Search:
    """The search over c of some rows. Arrays here are indexed by place among these rows."""

    def __init__(
        self, attack: SignEmbedding, job: Job, rows: Rows, mask: NDArray[np.bool_]
    ) -> None:
        n = len(rows)
        self.attack, self.job, self.rows, self.mask = attack, job, rows, mask
        self.start = job.start[rows]
        self.origin = np.arctanh((2 * self.start - 1) * INSIDE)
        self.allowed = attack.free * mask.sum() * self.start.shape[1]
        middle = math.log10(attack.initial_c)
        self.low, self.high = np.full(n, middle - DECADES), np.full(n, middle + DECADES)
        self.best_c = np.full(n, np.inf)
        """log10 of the smallest c that has succeeded."""
        self.best_odds = np.full(n, -np.inf)
        """Log-odds of the target, of rows without a success."""

    def run(self) -> None:
        """Search; after every c the job holds the best pictures."""
        for number in range(self.attack.search_steps):
            c = (self.low + self.high) / 2
            success = self._judge(self._descend(c, note=number == 0), c)
            self.high = np.where(success, c, self.high)
            self.low = np.where(success, self.low, c)
        self.job.open[self.rows] = False

    def _descend(self, c: NDArray[np.float64], note: bool) -> FloatImages:
        """Where Adam comes to from the clean pictures, n x C x H x W."""
        attack, job, rows = self.attack, self.job, self.rows
        weight = (10.0**c).astype(np.float32)[:, None, None, None]
        w = self.origin.copy()
        first, second = np.zeros_like(w), np.zeros_like(w)
        for step in range(attack.steps):
            squash = np.tanh(w)
            x = self._painted(squash)
            seen = job.gradients(rows, x, job.goal.climb, unless_fooled=True, lead=attack.kappa)
            if note and step == 0:
                note_vanishing(job, seen.values[seen.wanted])
            steep = (seen.loss < attack.kappa).astype(np.float32)[:, None, None, None]
            slope = self._penalty(x - self.start) - weight * steep * seen.values
            slope *= self.mask * (1 - squash**2) / 2
            first = BETA1 * first + (1 - BETA1) * slope
            second = BETA2 * second + (1 - BETA2) * slope**2
            mean = first / (1 - BETA1 ** (step + 1))
            spread = np.sqrt(second / (1 - BETA2 ** (step + 1)))
            rate = attack.learning_rate * (1 - (1 - LAST) * step / attack.steps)
            w -= np.float32(rate) * mean / (spread + TINY)
        return self._painted(np.tanh(w))

    def _painted(self, squash: FloatImages) -> FloatImages:
        return np.where(self.mask, (squash + 1) / 2, self.start).astype(np.float32)

    def _penalty(self, d: FloatImages) -> FloatImages:
        """The gradient of max(|d|_1, l) + smooth TV(d) in `d`, n x C x H x W."""
        length = np.abs(d).sum(axis=(1, 2, 3), dtype=np.float64)
        beyond = (length > self.allowed).astype(np.float32)[:, None, None, None]
        slope: FloatImages = np.sign(d) * beyond
        if self.attack.smooth:
            smooth = np.float32(self.attack.smooth)
            for axis in (2, 3):
                across = smooth * np.sign(np.diff(d, axis=axis))
                ahead = [slice(None)] * 4
                behind = [slice(None)] * 4
                ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
                slope[tuple(ahead)] += across
                slope[tuple(behind)] -= across
        return slope

    def _judge(self, x: FloatImages, c: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Score the pictures of `x`, keep those that are better; (n,), which are successes."""
        job, rows = self.job, self.rows
        levels = np.rint(x * np.float32(255)).astype(np.uint8)
        scores = job.scores(rows, levels)
        success = job.hits(rows, scores)
        odds = scores.log_odds[np.arange(len(rows)), job.targets[rows]]
        odds = np.where(scores.scored, odds, -np.inf)
        never = np.isinf(self.best_c)
        better = np.where(success, c < self.best_c, never & (odds >= self.best_odds))
        self.best_c[better & success] = c[better & success]
        self.best_odds[better] = odds[better]
        chosen = rows[better]
        job.x[chosen] = x[better]
        job.pixels.update(zip(chosen.tolist(), levels[better], strict=True))
        job.known(chosen, part(scores, better))
        return success
