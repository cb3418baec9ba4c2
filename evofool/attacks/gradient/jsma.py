"""JSMA: change few channel values, those that a saliency map of the logits names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Aim, Attack
from evofool.attacks.gradient.loop import note_vanishing
from evofool.attacks.gradient.losses import class_scores, log_probabilities
from evofool.attacks.gradient.pairs import best_pair
from evofool.attacks.job import Job
from evofool.attacks.lattice.levels import FUZZ
from evofool.errors import UsageError
from evofool.images import FloatImages, to_float
from evofool.scoring import Loss

if TYPE_CHECKING:
    import torch

Chooser = Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.int64]]
"""From the gradients (K x D, of K outputs for D features) and the features that can still move (m,)
to the features that are moved."""
VALUES_AT_ONCE = 2**25
"""Gradient values that one call may hold."""


@dataclass(frozen=True)
class _Saliency(Attack):
    """Parameters of both attacks here. Features are channel values.

    Attributes:
        theta: what a chosen feature changes by, from a level (1/255) to 1, or minus that; 1 and -1
            saturate at once, so that every iterate is a picture.
        gamma: largest share of features that may change.
    """

    aim: ClassVar[Aim] = "targeted"
    paper: ClassVar[str] = "Papernot et al., EuroS&P 2016"

    theta: float = 1.0
    gamma: float = 0.145

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 / 255 <= abs(self.theta) <= 1:
            raise UsageError(
                f"{self.name}: theta must be a level (1/255) to 1, or minus that, not {self.theta}"
            )
        if not 0 < self.gamma <= 1:
            raise UsageError(f"{self.name}: gamma must be above 0 and at most 1, not {self.gamma}")

    def _climb(self, job: Job, loss: Loss, losses: int, choose: Chooser) -> None:
        """Move the features that `choose` names until each picture is called its target.

        A row ends when it fools, when nothing is left to choose, or when the next choice would
        change more than the share gamma of its features.
        """
        features = job.start[0].size
        most = int(self.gamma * features)
        size = max(1, VALUES_AT_ONCE // (losses * features))
        for i in range(0, len(job), size):
            active = job.rows()[i : i + size]
            first = True
            while len(active):
                at = to_float(job.on_lattice(active))
                answer = job.gradients(active, at, loss, unless_fooled=True)
                if first:
                    note_vanishing(job, answer.values[answer.wanted])
                    first = False
                going = answer.wanted.copy()
                for k in np.flatnonzero(answer.wanted).tolist():
                    going[k] = self._move(job, int(active[k]), answer.values[k], choose, most)
                job.open[active[~going]] = False
                active = active[going]

    def _move(self, job: Job, row: int, gradients: FloatImages, choose: Chooser, most: int) -> bool:
        """One choice of one row; False where there was none to be had."""
        up = self.theta > 0
        values = job.x[row].reshape(-1)  # a view
        slack = np.float32(FUZZ / 255)  # of sums of theta in float32
        room = values < 1 - slack if up else values > slack
        if job.mask is not None:
            room &= np.broadcast_to(job.mask, job.x.shape[1:]).reshape(-1)
        able = np.flatnonzero(room)
        flat = gradients.reshape(-1, values.size).astype(np.float64)
        chosen = choose(flat if up else -flat, able)
        if not len(chosen):
            return False
        changed = values != job.start[row].reshape(-1)
        if int(changed.sum() + (~changed[chosen]).sum()) > most:
            return False
        values[chosen] = np.clip(values[chosen] + np.float32(self.theta), 0, 1)
        job.touch(np.array([row]))
        return True


@dataclass(frozen=True)
class JSMA(_Saliency):
    """The pair rule: the features p, q that maximise -alpha beta, alpha > 0 > beta.

    Papernot, McDaniel, Jha, Fredrikson, Celik, Swami, EuroS&P 2016, 1511.07528, Algorithm 3:
    alpha = the sum over p, q of dz_t, beta that of the other classes' derivatives (with a negative
    theta both change their sign, equation 9). On the logits: softmax confidences sum to 1, which
    makes beta -alpha. A step takes two backward images:
    those of the target's logit and of the sum of all others. The best pair is found exactly
    without looking at all pairs (see `pairs`).
    """

    name: ClassVar[str] = "jsma"
    one_class: ClassVar[bool] = True

    def craft(self, job: Job) -> None:
        def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            import torch

            values = class_scores(outputs, job.scorer.classifier)
            own = _own(values, job.targets, rows)
            return torch.stack([own, own - values.sum(1)], dim=1)

        def choose(gradients: NDArray[np.float64], able: NDArray[np.int64]) -> NDArray[np.int64]:
            pair = best_pair(gradients[0, able], gradients[1, able])
            return able[:0] if pair is None else able[list(pair)]

        self._climb(job, loss, 2, choose)


@dataclass(frozen=True)
class SimplifiedJSMA(_Saliency):
    """The features with the largest derivatives of the target: one backward image a step.

    Not the rule of the paper, but what several libraries ship under its name.

    Attributes:
        features: how many change in a step.
        of: ``confidence`` takes derivatives of the target's log-confidence, which depends on the
            other classes too; ``logit`` of its logit alone.
    """

    name: ClassVar[str] = "jsma-simplified"

    features: int = 2
    of: Literal["confidence", "logit"] = "confidence"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("of", ("confidence", "logit"))
        if self.features < 1:
            raise UsageError(f"{self.name}: features must be at least 1, not {self.features}")

    def craft(self, job: Job) -> None:
        def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            scores_of = log_probabilities if self.of == "confidence" else class_scores
            return _own(scores_of(outputs, job.scorer.classifier), job.targets, rows)

        def choose(gradients: NDArray[np.float64], able: NDArray[np.int64]) -> NDArray[np.int64]:
            slopes = gradients[0, able]
            order = np.argsort(-slopes, kind="stable")[: self.features]
            chosen: NDArray[np.int64] = able[order[slopes[order] > 0]]
            return chosen

        self._climb(job, loss, 1, choose)


def _own(values: torch.Tensor, targets: NDArray[np.int64], rows: torch.Tensor) -> torch.Tensor:
    import torch

    index = torch.from_numpy(targets).to(rows.device)[rows]
    return values.gather(1, index[:, None])[:, 0]
