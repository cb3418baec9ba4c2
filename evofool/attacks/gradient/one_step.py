"""One step along the sign of the gradient: FGSM and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evofool.attacks.base import Aim, Attack
from evofool.attacks.gradient.loop import note_vanishing, sign
from evofool.attacks.gradient.losses import LossName, log_probabilities
from evofool.attacks.job import Job
from evofool.errors import UsageError
from evofool.images import FloatImages
from evofool.scoring import Loss

if TYPE_CHECKING:
    import torch


ONE_STEP = 3
"""Queries for an image: its gradient, and two answers: to the picture and to the floats."""


@dataclass(frozen=True)
class FGSM(Attack):
    """x + eps sign(grad J) (Goodfellow, Shlens, Szegedy, ICLR 2015, 1412.6572, section 4).

    With targets, x - eps sign(grad J(x, target)).

    Attributes:
        eps: radius in the maximum norm, in fractions of 1.
        loss: ``cross_entropy``, or ``margin`` (on the logits) where that has saturated.
    """

    name: ClassVar[str] = "fgsm"
    paper: ClassVar[str] = "Goodfellow et al., ICLR 2015"

    eps: float = 8 / 255
    loss: LossName = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_loss()

    @property
    def most_queries(self) -> int:
        return ONE_STEP

    def craft(self, job: Job) -> None:
        _step(job, job.start, self.eps, lambda o, rows: job.goal.loss(self.loss, o, rows))


@dataclass(frozen=True)
class RFGSM(Attack):
    """x' = x + alpha sign(N(0, I)); x' + (eps - alpha) sign(grad J(x')).

    Tramèr et al., ICLR 2018, 1705.07204, equation 7.

    Attributes:
        eps: radius in the maximum norm.
        alpha: the random part; eps / 2 by default (Tramèr on ImageNet; .05 of .3 on MNIST).
        loss: as FGSM.
    """

    name: ClassVar[str] = "r-fgsm"
    paper: ClassVar[str] = "Tramèr et al., ICLR 2018"

    eps: float = 8 / 255
    alpha: float | None = None
    loss: LossName = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_loss()
        _check_alpha(self.name, self.alpha, self.eps)

    @property
    def most_queries(self) -> int:
        return ONE_STEP

    def craft(self, job: Job) -> None:
        alpha = self.eps / 2 if self.alpha is None else self.alpha
        loss: Loss = lambda o, rows: job.goal.loss(self.loss, o, rows)  # noqa: E731
        _step(job, _nudged(job, alpha), self.eps - alpha, loss)


@dataclass(frozen=True)
class StepLL(Attack):
    """x - eps sign(grad J(x, y)), y the least likely class (Kurakin et al., 2016).

    Success is being called anything but the label. As used by Tramèr et al., ICLR 2018.

    Attributes:
        eps: radius in the maximum norm.
    """

    name: ClassVar[str] = "step-ll"
    one_class: ClassVar[bool] = True
    aim: ClassVar[Aim] = "untargeted"
    paper: ClassVar[str] = "Kurakin et al., 2016; Tramèr et al., ICLR 2018"

    eps: float = 8 / 255

    @property
    def most_queries(self) -> int:
        return ONE_STEP

    def craft(self, job: Job) -> None:
        _step(job, job.start, self.eps, least_likely(job))


@dataclass(frozen=True)
class RStepLL(Attack):
    """Step-LL of eps - alpha after a random sign step of alpha (Tramèr et al., ICLR 2018).

    Attributes:
        eps: radius in the maximum norm.
        alpha: the random part; eps / 2 by default.
    """

    name: ClassVar[str] = "r-step-ll"
    one_class: ClassVar[bool] = True
    aim: ClassVar[Aim] = "untargeted"
    paper: ClassVar[str] = "Tramèr et al., ICLR 2018"

    eps: float = 8 / 255
    alpha: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_alpha(self.name, self.alpha, self.eps)

    @property
    def most_queries(self) -> int:
        return ONE_STEP

    def craft(self, job: Job) -> None:
        alpha = self.eps / 2 if self.alpha is None else self.alpha
        _step(job, _nudged(job, alpha), self.eps - alpha, least_likely(job))


def least_likely(job: Job) -> Loss:
    """log p of the class that is least likely in the same forward pass."""

    def loss(outputs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        logs = log_probabilities(outputs, job.scorer.classifier)
        return logs.gather(1, outputs.detach().argmin(1)[:, None])[:, 0]

    return loss


def _step(job: Job, at: FloatImages, eps: float, loss: Loss) -> None:
    rows = job.rows()
    gradients = job.gradients(rows, at, loss).values
    note_vanishing(job, gradients)
    # float32 throughout, in the order of the formula: peers give the same to the last bit
    job.x = np.clip(at + np.float32(eps) * sign(gradients), 0, 1).astype(np.float32)


def _nudged(job: Job, alpha: float) -> FloatImages:
    shape = job.clean.shape[1:]
    noise = np.stack([job.rng(row).standard_normal(shape) for row in range(len(job))])
    return np.clip(job.start + np.float32(alpha) * np.sign(noise), 0, 1).astype(np.float32)


def _check_alpha(name: str, alpha: float | None, eps: float) -> None:
    if alpha is not None and not 0 <= alpha < eps:
        raise UsageError(f"{name}: alpha must be at least 0 and below eps, not {alpha}")
