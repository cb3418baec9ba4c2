"""Whether another implementation of a net gives the same outputs as the net."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Link
from evofool.scoring.ranking import softmax_log_odds

PARITY = 1e-3
"""Largest difference in log-odds at which an exported or folded graph is taken for its module."""


def agree(outputs: NDArray[np.floating], expected: NDArray[np.floating], link: Link) -> bool:
    """Whether `outputs` of a probe batch are the `expected` ones, both N x classes, to `PARITY`.

    -inf (a masked class) agrees with -inf only; NaN and inf agree with nothing.
    """
    if outputs.shape != expected.shape or outputs.ndim != 2 or outputs.shape[1] < 2:
        return False
    masked = np.isneginf(expected)
    if not np.array_equal(masked, np.isneginf(outputs)):
        return False
    if not (np.isfinite(outputs[~masked]).all() and np.isfinite(expected[~masked]).all()):
        return False
    if masked.all(axis=1).any():
        return False
    if link == "identity":  # probabilities, whose float32 has no log-odds near 1
        return np.allclose(outputs, expected, rtol=PARITY, atol=1e-6)
    if link == "softmax":  # where a shift of all logits means nothing; under sigmoids it does
        outputs = softmax_log_odds(outputs)
        expected = softmax_log_odds(expected)
    apart = np.abs(outputs[~masked] - expected[~masked])
    return bool(apart.max(initial=0.0) <= PARITY)
