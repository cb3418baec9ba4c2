"""Detectors as a reject option: one more class, which wins when the net is not sure enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.errors import UsageError


class Detector(Protocol):
    """Tells from the logits how much an input resembles the training data."""

    name: ClassVar[str]

    def score(self, logits: torch.Tensor) -> torch.Tensor:
        """One number an image, (n,), larger for inputs that resemble the training data.

        Args:
            logits: floating n x classes.
        """
        ...


@dataclass(frozen=True)
class MaxSoftmax:
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
class Energy:
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


DETECTORS: dict[str, type[MaxSoftmax] | type[Energy]] = {
    kind.name: kind for kind in (MaxSoftmax, Energy)
}


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
    if not 0 < false_alarms < 1:
        raise UsageError(f"false_alarms must lie on (0, 1), not {false_alarms}")
    if len(scores) * false_alarms < 1:
        raise UsageError(
            f"{len(scores)} clean pictures cannot set a threshold at {false_alarms:g} false"
            f" alarms; give at least {math.ceil(1 / false_alarms)}"
        )
    return float(np.quantile(np.asarray(scores, dtype=np.float64), false_alarms))
