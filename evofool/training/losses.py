"""Cost functions: what a net's outputs cost, given the labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch.nn import functional

from evofool.classifiers.base import Link, Output

Losses: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the outputs of n images (floating n x classes) and their labels (int64 (n,), or floating n x
classes of shares) to n losses."""

NEAREST = 1e-6
"""-log p under which `rbf` counts p as no nearer to 1: its slope grows without bound there."""


def cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log softmax(outputs) of the label, (n,).

    Args:
        outputs: floating n x classes.
        labels: int64 (n,), or n x classes of shares.
    """
    return functional.cross_entropy(outputs, labels, reduction="none")


def sigmoid(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of one sigmoid for each class, summed over the classes, (n,).

    Args:
        outputs: floating n x classes.
        labels: int64 (n,), or n x classes of shares.
    """
    wanted = _shares(outputs, labels)
    return functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none").sum(1)


def softmax_binary(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log p_y - sum_{j != y} log(1 - p_j) of p = softmax(outputs), (n,).

    Binary cross entropy of every class, summed, as `sigmoid` is, but over softmax confidences: a
    wrong class that is near 1 costs as much again as the label that is near 0.

    Args:
        outputs: floating n x classes, of two classes or more.
        labels: int64 (n,), or n x classes of shares.
    """
    wanted = _shares(outputs, labels)
    logs = outputs.log_softmax(1)
    top = functional.one_hot(outputs.argmax(1), outputs.shape[1]).bool()
    # 1 - p of the largest class is the sum of the others, which rounding would lose near p = 1
    rest = outputs.masked_fill(top, -math.inf).logsumexp(1) - outputs.logsumexp(1)
    others = torch.log1p(-logs.exp().masked_fill(top, 0)).where(~top, rest[:, None])
    return -(wanted * logs + (1 - wanted) * others).sum(1)


def squared_error(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """||softmax(outputs) - one-hot label||^2 (Brier 1950, Monthly Weather Review 78), (n,).

    Args:
        outputs: floating n x classes.
        labels: int64 (n,), or n x classes of shares.
    """
    return (outputs.softmax(1) - _shares(outputs, labels)).square().sum(1)


def rbf(logs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log p_y - sum_{j != y} log(1 - p_j) of independent log-confidences, (n,).

    It is `sigmoid` for a net that gives log p; 1 - p is -expm1(log p).

    Args:
        logs: floating n x classes, at most 0.
        labels: int64 (n,), or n x classes of shares.
    """
    wanted = _shares(logs, labels)
    others = torch.log(-torch.expm1(logs.clamp_max(-NEAREST)))
    return -(wanted * logs + (1 - wanted) * others).sum(1)


def hinge(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """sum_k max(0, 1 - y_k z_k)^2, where y_k is 1 for the label and -1 for the others, (n,).

    One linear support vector machine a class against all others, with the squared hinge (the
    default of LIBLINEAR: Fan et al., JMLR 2008). The squared length of the weights comes from
    `OptimiserConfig.weight_decay`: its C, for n pictures, is 1 / (n weight_decay); the biases
    count there too.

    Args:
        outputs: floating n x classes.
        labels: int64 (n,), or n x classes of shares.
    """
    signs = 2 * _shares(outputs, labels) - 1
    return (1 - signs * outputs).clamp_min(0).square().sum(1)


@dataclass(frozen=True)
class Cost:
    """A loss, and what the outputs of a net mean that was trained with it."""

    losses: Losses
    output: Output
    link: Link


COSTS: Mapping[str, Cost] = {
    "cross-entropy": Cost(cross_entropy, "logits", "softmax"),
    "sigmoid": Cost(sigmoid, "logits", "sigmoid"),
    "softmax-binary": Cost(softmax_binary, "logits", "softmax"),
    "squared-error": Cost(squared_error, "logits", "softmax"),
    "rbf": Cost(rbf, "log_probs", "identity"),
    "hinge": Cost(hinge, "logits", "softmax"),
}
"""By their names in a config."""


def tempered(temperature: float) -> Losses:
    """The cross entropy of softmax(outputs / temperature): n losses.

    Labels may be shares: those of a teacher (Papernot et al., S&P 2016, 1511.04508, equation 5).

    Raises:
        ValueError: a temperature that is not positive.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature must be a positive number, not {temperature}")

    def losses(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs / temperature, labels)

    return losses


def smoothed(share: float, temperature: float = 1) -> Losses:
    """The cross entropy with labels of which `share` is spread evenly over all classes.

    Label smoothing (Szegedy et al., CVPR 2016, 1512.00567, section 7).

    Raises:
        ValueError: a share that is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share must lie between 0 and 1, not {share}")

    def losses(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(
            outputs / temperature, labels, reduction="none", label_smoothing=share
        )

    return losses


def loss_of(name: str, temperature: float = 1, smoothing: float | None = None) -> Losses:
    """The loss of a config's ``loss``, ``temperature`` and ``smoothing``."""
    if smoothing is not None:
        return smoothed(smoothing, temperature)
    return COSTS[name].losses if temperature == 1 else tempered(temperature)


def _shares(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Labels as n x classes numbers."""
    if labels.ndim == 1:
        return functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
    return labels.to(outputs.dtype)
