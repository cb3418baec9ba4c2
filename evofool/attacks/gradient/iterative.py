"""Many small steps inside a ball: I-FGSM, Iter-LL, MI-FGSM, PGD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from evofool.attacks.base import Aim, Attack
from evofool.attacks.gradient.loop import ascend, sign, unit
from evofool.attacks.gradient.losses import LossName, log_probabilities
from evofool.attacks.gradient.one_step import least_likely
from evofool.attacks.job import Job, Rows
from evofool.attacks.lattice.levels import Norm, project
from evofool.errors import UsageError
from evofool.images import FloatImages
from evofool.scoring import Loss

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class _Iterative(Attack):
    """Parameters of all attacks here.

    Attributes:
        eps: radius of the ball, in fractions of 1.
        step_size: length of a step; eps / steps by default.
        steps: most steps.
        early_stop: stop an image once its picture fools (see `loop.ascend`); False makes all
            steps, as the papers write.
    """

    eps: float = 8 / 255
    step_size: float | None = None
    steps: int = 10
    early_stop: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise UsageError(f"{self.name}: steps must be at least 1, not {self.steps}")
        if self.step_size is not None:
            self.check_positive("step_size")

    @property
    def most_queries(self) -> int:
        # of every start the gradients and one answer; then picture and floats are judged
        return getattr(self, "restarts", 1) * (self.steps + 1) + 2

    @property
    def length(self) -> np.float32:
        """The step that is made."""
        return np.float32(self.eps / self.steps if self.step_size is None else self.step_size)

    def _sign_step(self, job: Job) -> Callable[..., FloatImages]:
        def step(rows: Rows, x: FloatImages, gradients: FloatImages, _: int) -> FloatImages:
            return project(x + self.length * sign(gradients), job.start[rows], self.eps, "linf")

        return step


@dataclass(frozen=True)
class IFGSM(_Iterative):
    """x <- clip(x + a sign(grad J)), the basic iterative method (Kurakin et al., 2016, 1607.02533).

    Attributes:
        loss: ``cross_entropy`` or ``margin``.
    """

    name: ClassVar[str] = "i-fgsm"
    paper: ClassVar[str] = "Kurakin et al., 2016"

    loss: LossName = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_loss()

    def craft(self, job: Job) -> None:
        loss: Loss = lambda o, rows: job.goal.loss(self.loss, o, rows)  # noqa: E731
        ascend(job, job.rows(), self.steps, loss, self._sign_step(job), early_stop=self.early_stop)


@dataclass(frozen=True)
class IterLL(_Iterative):
    """Step-LL repeated, the least likely class of the clean image kept (Kurakin et al., 2016)."""

    name: ClassVar[str] = "iter-ll"
    one_class: ClassVar[bool] = True
    aim: ClassVar[Aim] = "untargeted"
    paper: ClassVar[str] = "Kurakin et al., 2016"

    def craft(self, job: Job) -> None:
        chosen = np.full(len(job), -1, np.int64)
        first = least_likely(job)

        def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            import torch

            own = rows.cpu().numpy()
            if (chosen[own] < 0).any():  # the first step, on the clean images
                chosen[own] = outputs.detach().argmin(1).cpu().numpy()
                return first(outputs, rows)
            logs = log_probabilities(outputs, job.scorer.classifier)
            at = torch.from_numpy(chosen[own]).to(logs.device)
            return logs.gather(1, at[:, None])[:, 0]

        ascend(job, job.rows(), self.steps, loss, self._sign_step(job), early_stop=self.early_stop)


@dataclass(frozen=True)
class MIFGSM(_Iterative):
    """g <- mu g + grad J / ||grad J||_1; x <- clip(x + a sign(g)).

    Dong et al., CVPR 2018, 1710.06081, equations 6 and 7.

    Attributes:
        decay: mu.
        loss: ``cross_entropy`` or ``margin``.
    """

    name: ClassVar[str] = "mi-fgsm"
    paper: ClassVar[str] = "Dong et al., CVPR 2018"

    decay: float = 1.0
    loss: LossName = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_loss()
        if not 0 <= self.decay < float("inf"):
            raise UsageError(f"{self.name}: decay must be 0 or more, not {self.decay}")

    def craft(self, job: Job) -> None:
        momentum = np.zeros_like(job.start)

        def step(rows: Rows, x: FloatImages, gradients: FloatImages, _: int) -> FloatImages:
            length = np.abs(gradients).sum(axis=(1, 2, 3), keepdims=True)
            scaled = gradients / np.maximum(length, np.float32(1e-20))
            momentum[rows] = np.float32(self.decay) * momentum[rows] + scaled
            moved = x + self.length * sign(momentum[rows])
            return project(moved, job.start[rows], self.eps, "linf")

        loss: Loss = lambda o, rows: job.goal.loss(self.loss, o, rows)  # noqa: E731
        ascend(job, job.rows(), self.steps, loss, step, early_stop=self.early_stop)


@dataclass(frozen=True)
class PGD(_Iterative):
    """Projected gradient ascent from random points of the ball (Madry et al., ICLR 2018, eq. 1).

    Attributes:
        norm: ``linf`` (sign steps) or ``l2`` (steps along the unit gradient).
        restarts: how often it starts; only images that have not been fooled start again.
        random_start: whether the first try starts at random too (later ones always do).
        loss: ``cross_entropy`` or ``margin``.
    """

    name: ClassVar[str] = "pgd"
    paper: ClassVar[str] = "Madry et al., ICLR 2018"

    step_size: float | None = 2 / 255
    steps: int = 40
    norm: Literal["linf", "l2"] = "linf"
    restarts: int = 1
    random_start: bool = False
    loss: LossName = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_loss()
        self.check_choice("norm", ("linf", "l2"))
        if self.restarts < 1:
            raise UsageError(f"{self.name}: restarts must be at least 1, not {self.restarts}")

    def craft(self, job: Job) -> None:
        def step(rows: Rows, x: FloatImages, gradients: FloatImages, _: int) -> FloatImages:
            way = sign(gradients) if self.norm == "linf" else unit(gradients)
            return project(x + self.length * way, job.start[rows], self.eps, self.norm)

        loss: Loss = lambda o, rows: job.goal.loss(self.loss, o, rows)  # noqa: E731
        left = job.rows()
        for restart in range(self.restarts):
            if restart or self.random_start:
                job.renew(left)
                job.x[left] = self._random(job, left, restart)
            left = ascend(job, left, self.steps, loss, step, early_stop=self.early_stop)
            if restart + 1 < self.restarts:
                fooled = job.check(left)
                job.open[left[fooled]] = False
                left = left[~fooled]
            if not len(left):
                break

    def _random(self, job: Job, rows: Rows, restart: int) -> FloatImages:
        return np.stack([self._point(job, row, restart) for row in rows.tolist()])

    def _point(self, job: Job, row: int, restart: int) -> FloatImages:
        rng, start = job.rng(row, restart), job.start[row]
        norm: Norm = self.norm
        if norm == "linf":
            noise = rng.uniform(-self.eps, self.eps, start.shape)
        else:  # uniform in the ball: a direction, and the radius of a uniform volume
            noise = rng.standard_normal(start.shape)
            if job.mask is not None:
                noise *= job.mask
            radius = self.eps * rng.uniform() ** (1 / job.free)
            noise *= radius / max(float(np.sqrt((noise**2).sum())), 1e-20)
        moved = start + noise.astype(np.float32)
        point: FloatImages = project(moved[None], start[None], self.eps, norm)[0]
        return point
