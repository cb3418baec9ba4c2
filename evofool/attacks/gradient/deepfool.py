"""DeepFool: step to the nearest boundary of the linearised classifier until it is crossed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evofool.attacks.base import Aim, Attack
from evofool.attacks.gradient.loop import lengths, note_vanishing
from evofool.attacks.gradient.losses import class_scores
from evofool.attacks.job import Job, Rows
from evofool.attacks.lattice.rounding import Rounder
from evofool.errors import UsageError

if TYPE_CHECKING:
    import torch

NUDGE = 1e-4
"""Added to every step's length, as in the authors' code, so that steps do not die out."""
FLOATS_AT_ONCE = 2**26
"""Gradient values that one call may hold."""


@dataclass(frozen=True)
class DeepFool(Attack):
    """x + 1.02 sum r_i, where r_i leads to the nearest of the linearised boundaries.

    Moosavi-Dezfooli, Fawzi, Frossard, CVPR 2016, 1511.04599, Algorithm 2, L2: with
    f_k = z_k - z_label and w_k its gradient, r = |f_l| / |w_l|^2 w_l for the l with the least
    |f_l| / |w_l|; the overshoot stretches the whole perturbation. `images_float` is this. The
    picture is the nearest on the ladder (see `rounding`) of the last linearisation. Where several
    classes may be claimed, the only boundary is that of the label's own claim (Algorithm 1).

    Attributes:
        steps: most steps.
        candidates: classes that are considered, the label included: the likeliest for the clean
            image. A step costs one backward image for each but the label.
        overshoot: share added to the whole perturbation.
        models: most new linearisations for a picture that does not fool yet.
    """

    name: ClassVar[str] = "deepfool"
    aim: ClassVar[Aim] = "untargeted"
    paper: ClassVar[str] = "Moosavi-Dezfooli et al., CVPR 2016"

    steps: int = 50
    candidates: int = 10
    overshoot: float = 0.02
    models: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise UsageError(f"{self.name}: steps must be at least 1, not {self.steps}")
        if self.candidates < 2:
            raise UsageError(
                f"{self.name}: candidates must be at least 2 (the label and one more),"
                f" not {self.candidates}"
            )
        if not 0 <= self.overshoot < float("inf"):
            raise UsageError(f"{self.name}: overshoot must be 0 or more, not {self.overshoot}")
        if self.models < 0:
            raise UsageError(f"{self.name}: models must be 0 or more, not {self.models}")

    def craft(self, job: Job) -> None:
        walk = _Walk(self, job)
        active = job.rows()
        for number in range(self.steps):
            active = np.concatenate([walk.step(part, number) for part in walk.parts(active)])
            if not len(active):
                return
        walk.through(active)


class _Walk:
    """The state of all images of a call: perturbations, and the last linear model of each."""

    def __init__(self, attack: DeepFool, job: Job) -> None:
        self.attack = attack
        self.job = job
        n, classes = len(job), job.scorer.classifier.n_classes
        self.many = job.scorer.classifier.multi_label
        boundaries = 1 if self.many else min(attack.candidates, classes) - 1
        self.others = np.full((n, boundaries), -1, np.int64)
        self.total = np.zeros_like(job.start)
        self.at = job.start.copy()
        self.slopes = np.zeros_like(job.start)
        self.margins = np.zeros(n, np.float32)
        self.clean_margins = np.zeros(n, np.float32)
        self.rounder = Rounder(job)

    def parts(self, rows: Rows) -> Iterator[Rows]:
        """`rows` in pieces whose gradients fit into memory together."""
        size = max(1, FLOATS_AT_ONCE // (self.others.shape[1] * self.job.start[0].size))
        for i in range(0, len(rows), size):
            yield rows[i : i + size]

    def step(self, rows: Rows, number: int) -> Rows:
        """One step of `rows`; returns those that did not fool before it."""
        job = self.job
        answer = job.gradients(rows, job.x[rows], self._leads, unless_fooled=True)
        if number == 0:
            note_vanishing(job, answer.values[answer.wanted])
            self.clean_margins[rows] = answer.loss.max(axis=1)
            job.open[rows[~answer.wanted]] = False  # fools as it is
        else:
            self.through(rows[~answer.wanted])
        rows, gradients = rows[answer.wanted], answer.values[answer.wanted]
        losses = answer.loss[answer.wanted]
        if not len(rows):
            return rows
        n, k = losses.shape
        lengths_ = lengths(gradients.reshape(n * k, 1, 1, -1)).reshape(n, k) + 1e-8
        distances = np.abs(losses) / lengths_
        nearest, each = distances.argmin(axis=1), np.arange(n)
        way = gradients[each, nearest]
        self.at[rows], self.slopes[rows] = job.x[rows], way
        self.margins[rows] = losses[each, nearest]
        scale = (distances[each, nearest] + NUDGE) / lengths_[each, nearest]
        self.total[rows] += scale[:, None, None, None].astype(np.float32) * way
        stretch = np.float32(1 + self.attack.overshoot)
        job.x[rows] = np.clip(job.start[rows] + stretch * self.total[rows], 0, 1)
        job.touch(rows)
        alive = way.any(axis=(1, 2, 3))
        job.open[rows[~alive]] = False  # nowhere to go
        left: Rows = rows[alive]
        return left

    def through(self, rows: Rows) -> None:
        """Find the pictures of rows whose walk has ended."""
        if not len(rows):
            return
        clean = self.clean_margins[rows]
        at, slopes, margins = self.at[rows], self.slopes[rows], self.margins[rows]
        self.rounder.settle(rows, at, slopes, margins, clean)
        self.rounder.again(rows, clean, self.attack.models)
        self.job.open[rows] = False

    def _leads(self, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """n x K leads of the candidates over the label; the first call chooses the candidates.

        Where several classes may be claimed: n x 1, what the label lacks to a claim.
        """
        if self.many:
            return self.job.goal.margin(outputs, rows)[:, None]
        import torch

        values = class_scores(outputs, self.job.scorer.classifier)
        labels = torch.from_numpy(self.job.labels).to(rows.device)[rows][:, None]
        own = rows.cpu().numpy()
        if (self.others[own] < 0).any():
            rest = values.detach().scatter(1, labels, float("-inf"))
            order = rest.argsort(dim=1, descending=True, stable=True)
            self.others[own] = order[:, : self.others.shape[1]].cpu().numpy()
        others = torch.from_numpy(self.others[own]).to(rows.device)
        return values.gather(1, others) - values.gather(1, labels)
