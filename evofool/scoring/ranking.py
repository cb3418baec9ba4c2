"""From a victim's outputs to log-odds and confidences, in float64 throughout.

Confidence is what is reported; log-odds are what ranks. float32 softmax (and log-softmax) is
constant from a margin of about 17 on, so a saturated class would freeze; the log-odds
z_c - logsumexp_{j != c} z_j, computed in float64 on the logits, still order such images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Link, Output
from evofool.errors import ScoringError

Matrix: TypeAlias = NDArray[np.float64]
"""float64 N x classes, unless a docstring says otherwise."""
Fitness: TypeAlias = Literal["log_odds", "probability", "log_probability"]

NO_CLASS = -1
"""The label of an image that the victim gave no usable scores for."""

PROBABILITY_TOLERANCE = 1e-4
"""How far outside [0, 1] a reported probability may lie before it is refused."""


@dataclass(frozen=True)
class Scores:
    """A victim's scores of N images.

    Attributes:
        log_odds: N x classes, log p_c / (1 - p_c); infinite where a probability is exactly 0 or 1;
            a row of NaN for an image that the victim gave no usable scores for.
        outputs: what the net gave for them, N x classes (None with ten crops).
        top: (N,), the class of the largest output, where log-odds alone could round a lead away.
        forward_images: images that went through the net for this, crops and padding included;
            0 where they were not counted.
    """

    log_odds: Matrix
    outputs: NDArray[np.floating] | None = field(default=None, repr=False)
    top: NDArray[np.int64] | None = field(default=None, repr=False)
    forward_images: int = 0

    @property
    def confidence(self) -> Matrix:
        """N x classes, on [0, 1] (NaN where there are no scores)."""
        return sigmoid(self.log_odds)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The top-1 class of each image, (N,): the lowest index where several tie, `NO_CLASS` where
        there are no scores."""
        if self.top is not None:
            return self.top
        labels = np.argmax(self.log_odds, axis=1).astype(np.int64)
        return np.where(self.scored, labels, NO_CLASS)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """(N,), whether the victim gave usable scores for the image."""
        scored: NDArray[np.bool_] = ~np.isnan(self.log_odds[:, 0])
        return scored

    def __len__(self) -> int:
        return len(self.log_odds)


def sigmoid(log_odds: Matrix) -> Matrix:
    """1 / (1 + exp(-x)) of log-odds of any shape, without overflow, accurate in both tails."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1.0 + small)


def softmax_log_odds(logits: NDArray[np.floating]) -> Matrix:
    """z_c - logsumexp_{j != c} z_j along the last axis; a shift of all logits changes nothing.

    `logits` have any shape that ends with at least two classes; the result has the same shape.

    Subtracting exp(z_c) from the whole sum loses nothing for any class but the largest, whose
    rest is summed anew without it. Equal logits get equal log-odds, and no class outranks one with
    a larger logit. -inf is a probability of 0.

    Raises:
        ScoringError: fewer than two classes.
    """
    z = np.asarray(logits, dtype=np.float64)
    if z.shape[-1] < 2:
        raise ScoringError("softmax log-odds need at least two classes")
    top = np.argmax(z, axis=-1, keepdims=True)
    largest = np.take_along_axis(z, top, axis=-1)
    with np.errstate(under="ignore"):
        scaled = np.exp(z - largest)
        rest = scaled.sum(axis=-1, keepdims=True) - scaled
        others = z.copy()
        np.put_along_axis(others, top, -np.inf, axis=-1)
        second = others.max(axis=-1, keepdims=True)
        base = np.where(np.isneginf(second), 0.0, second)  # -inf: nothing but the largest
    with np.errstate(under="ignore", divide="ignore"):
        of_largest = (largest - base) - np.log(np.exp(others - base).sum(axis=-1, keepdims=True))
    # rest of the largest may be 0 or rounding noise here; it is replaced below
    np.put_along_axis(rest, top, 1.0, axis=-1)
    of_others = z - largest - np.log(rest)
    # the two formulas differ in the last bits, which must not decide between tied classes
    odds: Matrix = np.where(z == largest, of_largest, np.minimum(of_others, of_largest))
    return odds


def probability_log_odds(probabilities: NDArray[np.floating]) -> Matrix:
    """log p / (1 - p) of `probabilities` of any shape, ties kept; the result has the same shape.

    NaN (a service did not mention the class) reads as p = 0.

    Raises:
        ScoringError: a value outside [0, 1].
    """
    p = np.asarray(probabilities, dtype=np.float64)
    p = np.where(np.isnan(p), 0.0, p)
    if p.size and (p.min() < -PROBABILITY_TOLERANCE or p.max() > 1 + PROBABILITY_TOLERANCE):
        raise ScoringError(
            f"the victim's probabilities range from {p.min():g} to {p.max():g}; if these are"
            " logits, set `output: logits`"
        )
    p = np.clip(p, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        odds: Matrix = np.log(p) - np.log1p(-p)
    return odds


def log_probability_log_odds(logs: NDArray[np.floating]) -> Matrix:
    """log p - log (1 - p) of `logs`, log-confidences that need not sum to 1 (an RBF head's).

    `logs` have any shape, and the result has the same. 1 - p is -expm1(log p), so that neither tail
    is lost.

    Raises:
        ScoringError: a value above 0.
    """
    u = np.asarray(logs, dtype=np.float64)
    if u.size and u.max() > PROBABILITY_TOLERANCE:
        raise ScoringError(
            f"the victim's log-probabilities reach {u.max():g}, above 0; if these are logits,"
            " set `output: logits`"
        )
    u = np.minimum(u, 0.0)
    with np.errstate(divide="ignore", under="ignore"):
        odds: Matrix = u - np.log(-np.expm1(u))
    return odds


def average_log_odds(log_odds: Matrix) -> Matrix:
    """The log-odds of confidences averaged over crops, N x classes.

    `log_odds` are N x crops x classes. The result is log mean p - log mean (1 - p), each computed
    by logsumexp, so that neither tail is lost.
    """
    with np.errstate(invalid="ignore"):  # NaN of a crop without scores
        yes = np.logaddexp.reduce(-np.logaddexp(0.0, -log_odds), axis=1)
        no = np.logaddexp.reduce(-np.logaddexp(0.0, log_odds), axis=1)
        odds: Matrix = yes - no
    return odds


def unusable(outputs: NDArray[np.generic], output: Output, link: Link) -> NDArray[np.bool_] | None:
    """Which rows of the outputs are no usable scores, or None where all are usable.

    NaN (with ``topk``, which leaves classes out, only a whole row of it) and +inf are not usable.
    -inf is a probability of 0, as masked classes and the logarithm of 0 are, unless a softmax has
    nothing else.

    Args:
        outputs: N x classes, of any numeric data type.
        output: what they are.
        link: what turns them into confidences.

    Returns:
        (N,), whether the row is unusable.
    """
    if output == "label" or np.isfinite(outputs).all():
        return None
    values = np.asarray(outputs, dtype=np.float64)
    nan = np.isnan(values)
    rows: NDArray[np.bool_] = np.asarray(nan.all(-1) if output == "topk" else nan.any(-1))
    if output in ("logits", "log_probs"):
        rows |= np.isposinf(values).any(axis=-1)
    if link == "softmax" and output != "probs":
        rows |= np.isneginf(values).all(axis=-1)
    return rows if rows.any() else None


def to_scores(outputs: NDArray[np.generic], output: Output, link: Link, crops: int) -> Scores:
    """Raw `outputs` of a victim, (N * crops) x classes of any data type, as `Scores` of N images.

    Raises:
        ScoringError: probabilities outside [0, 1], or a victim that gives labels alone.
    """
    if output == "label":
        raise ScoringError(
            "the victim gives only labels, so it has no confidences to rank by; label-only"
            " black-box attacks can use it"
        )
    values = np.asarray(outputs)
    missing = unusable(values, output, link)
    whole = values
    if missing is not None:
        values = np.where(missing[:, None], 0.0, values)  # in place of scores, until it is scored
    if output == "log_probs" and link == "identity":
        odds = log_probability_log_odds(values)
    elif output in ("probs", "topk") or link == "identity":
        odds = probability_log_odds(values)
    elif link == "sigmoid":
        odds = values.astype(np.float64)
    else:
        odds = softmax_log_odds(values)
    if missing is not None:
        odds[missing] = np.nan
    if crops > 1:
        return Scores(average_log_odds(odds.reshape(-1, crops, odds.shape[-1])))
    top = np.argmax(np.where(np.isnan(values), -np.inf, values), axis=-1).astype(np.int64)
    if missing is not None:
        top[missing] = NO_CLASS
    return Scores(odds, whole, top)


def fitness_of(log_odds: Matrix, fitness: Fitness) -> Matrix:
    """What a campaign ranks by: `fitness` computed from log-odds of any shape, in the same shape.

    `probability` and `log_probability` are rounded to float32, as the published code's were:
    they saturate, which is what the choice is for.
    """
    if fitness == "log_odds":
        return log_odds
    if fitness == "probability":
        return sigmoid(log_odds).astype(np.float32).astype(np.float64)
    with np.errstate(invalid="ignore"):  # NaN of an image without scores
        logs = -np.logaddexp(0.0, -log_odds)
    return logs.astype(np.float32).astype(np.float64)
