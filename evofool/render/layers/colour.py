"""From colour genes to red, green and blue."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

LayerColour: TypeAlias = Literal["natural", "uniform"]

_AXES = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
"""Columns: the principal axes of the colours of ImageNet's pictures, each as long as the standard
deviation along it (Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017)."""
_MEAN = np.array([0.48, 0.46, 0.41])
"""Their mean."""


def colour_matrix(channels: int, colour: LayerColour) -> NDArray[np.float32]:
    """channels x 4 float32: a colour of genes a, b, c has the levels M (a, b, c, 1), on [0, 1].

    Genes are uniform on [0, 1]. The levels are clipped; where there is one channel, it is a.
    """
    if channels == 1:
        return np.array([[1, 0, 0, 0]], np.float32)
    if colour == "uniform":
        return np.eye(3, 4, dtype=np.float32)
    axes = _AXES * np.sqrt(12)  # a uniform gene has a variance of 1 / 12
    shift = _MEAN - axes.sum(1) / 2
    return np.concatenate((axes, shift[:, None]), 1).astype(np.float32)
