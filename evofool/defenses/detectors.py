"""Detectors as a reject option: one more class, which wins when the net is not sure enough."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier
from evofool.defenses.base import Defense, Place
from evofool.errors import UsageError
from evofool.images import UInt8Images
from evofool.scoring import Scorer

FALSE_ALARMS = 0.05
"""Share of clean pictures that a calibrated detector rejects, unless it is told another."""


@dataclass(frozen=True)
class Detector(Defense):
    """Looks at logits and says how much an input looks like what was trained on.

    Attributes:
        threshold: of its score, below which it rejects; None until it is fitted.
        false_alarms: share of clean pictures that it may reject; .05 by default.
    """

    place: ClassVar[Place] = "behind the net"
    rejects: ClassVar[bool] = True
    learns: ClassVar[bool] = True

    threshold: float | None = field(default=None, kw_only=True)
    false_alarms: float | None = field(default=None, kw_only=True)

    @abstractmethod
    def score(self, logits: torch.Tensor) -> torch.Tensor:
        """One number an image, (n,), larger for inputs that resemble the training data.

        Args:
            logits: floating n x classes.
        """

    def module(self, base: Classifier) -> nn.Module:
        self.check(base)
        assert base.module is not None
        if self.threshold is None:
            raise UsageError(f"defense {self.name}: has no threshold yet; give one")
        return Rejecting(base.module, self, self.threshold)

    def check(self, base: Classifier) -> None:
        if base.output not in ("logits", "log_probs") or base.link != "softmax":
            raise UsageError(
                f"defense {self.name}: needs softmax logits, but {base.name} gives {base.output}"
                f" with link {base.link}"
            )

    def check_clean(self, count: int) -> None:
        if self.threshold is None:
            check_alarms(count, self._alarms)

    def fit(self, clean: UInt8Images, scorer: Scorer) -> Self:
        """With the threshold that rejects the given share of clean pictures, if it has none."""
        if self.threshold is not None:
            return self
        outputs = scorer.score(clean).outputs
        assert outputs is not None
        scores = self.score(torch.from_numpy(np.asarray(outputs))).numpy()
        fitted = threshold_for(scores, self._alarms)
        return replace(self, threshold=fitted, false_alarms=None)

    def identity(self) -> dict[str, Any]:
        """Without the share of false alarms, once there is a threshold."""
        known = super().identity()
        if self.threshold is not None:
            known.pop("false_alarms", None)
        return known

    @property
    def _alarms(self) -> float:
        return FALSE_ALARMS if self.false_alarms is None else self.false_alarms


@dataclass(frozen=True)
class MaxSoftmax(Detector):
    """The log-odds of the largest softmax confidence (Hendrycks, Gimpel, ICLR 2017).

    Ordered as the confidence is, without saturating.
    """

    name: ClassVar[str] = "max-softmax"

    def score(self, logits: torch.Tensor) -> torch.Tensor:
        """The score of each image: floating n x classes logits to (n,)."""
        top, index = logits.max(1)
        rest = logits.scatter(1, index[:, None], float("-inf")).logsumexp(1)
        return top - rest


@dataclass(frozen=True)
class Energy(Detector):
    """The negative free energy T logsumexp(z / T) (Liu et al., NeurIPS 2020, equation 4).

    Attributes:
        temperature: T.
    """

    name: ClassVar[str] = "energy"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"energy: temperature must be above 0, not {self.temperature}")

    def score(self, logits: torch.Tensor) -> torch.Tensor:
        """The score of each image: floating n x classes logits to (n,)."""
        return self.temperature * (logits / self.temperature).logsumexp(1)


class Rejecting(nn.Module):
    """A net that may decline: n logits and one more, which leads where the detector objects.

    The extra logit is the largest of the others plus `sharpness` times what the score lacks to
    the threshold. So it leads exactly where the score is below, other confidences are hardly
    touched where it is well above, and an attack that climbs the outputs feels the detector.

    Args:
        net: float32 N x C x H x W on [0, 1] to N x n logits.
        detector: scores logits.
        threshold: of the score.
        sharpness: logits a unit of the score.
    """

    def __init__(
        self, net: nn.Module, detector: Detector, threshold: float, sharpness: float = 10.0
    ) -> None:
        super().__init__()
        self.net = net
        self.detector = detector
        self.threshold = threshold
        self.sharpness = sharpness

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to N x (n + 1) logits, the last for rejection."""
        logits: torch.Tensor = self.net(images)
        lack = self.threshold - self.detector.score(logits)
        reject = logits.max(1).values + self.sharpness * lack
        return torch.cat([logits, reject[:, None]], 1)


def threshold_for(scores: NDArray[np.floating], false_alarms: float) -> float:
    """The threshold below which a share `false_alarms` of clean `scores`, (N,), falls.

    Raises:
        UsageError: a share outside (0, 1), or too few scores to set such a threshold.
    """
    check_alarms(len(scores), false_alarms)
    return float(np.quantile(np.asarray(scores, dtype=np.float64), false_alarms))


def check_alarms(count: int, false_alarms: float) -> None:
    """Refuse to set a threshold on too few clean pictures.

    Raises:
        UsageError: a share outside (0, 1), or fewer pictures than it takes to tell.
    """
    if not 0 < false_alarms < 1:
        raise UsageError(f"false_alarms must be above 0 and below 1, not {false_alarms}")
    if count * false_alarms < 1:
        raise UsageError(
            f"{count} clean pictures cannot set a threshold at {false_alarms:g} false"
            f" alarms; give at least {math.ceil(1 / false_alarms)}"
        )
