"""From colour genes to red, green and blue."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.render.layers.stack import GENES, GROUND, Stacks

LayerColour: TypeAlias = Literal["natural", "uniform"]

_AXES = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
"""Columns: the principal axes of the colours of ImageNet's pictures, each as long as the standard
deviation along it (Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017)."""
_MEAN = np.array([0.48, 0.46, 0.41])
"""Their mean."""
_CHROMA = 0.7
_TINT = 0.3
_OPPONENT = [[name[-2:] in (" b", " c") for name in names] for names in (GENES, GROUND)]
"""Which genes of a layer, and of the ground, are the two that make a colour more than grey."""


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


def light(channels: int, colour: LayerColour) -> NDArray[np.float32]:
    """(channels,) float32: what light adds to each colour gene, and shade takes away."""
    tint = _TINT if colour == "natural" else 1.0
    return np.array([1.0, tint, tint][:channels], np.float32)


def tone(genes: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the genes b and c become: see `toned`.

    Args:
        genes: float32 of any shape, on [0, 1].

    Returns:
        float32 of the same shape, on [0.15, 0.85].
    """
    t = 2 * genes - 1
    muted: NDArray[np.float32] = np.float32(0.5) + np.float32(_CHROMA / 2) * t * np.abs(t)
    return muted


def toned(stacks: Stacks, channels: int, colour: LayerColour) -> Stacks:
    """The stacks with colours as rarely vivid as those of photographs.

    Of natural colours the genes b and c become 0.5 + 0.35 t |t| where t = 2 gene - 1: most are near
    grey. Other colours stay.
    """
    if channels == 1 or colour != "natural":
        return stacks
    arrays = []
    for genes, which in zip((stacks.genes, stacks.grounds), _OPPONENT, strict=True):
        genes = genes.copy()
        genes[:, which] = tone(genes[:, which])
        arrays.append(genes)
    return replace(stacks, genes=arrays[0], grounds=arrays[1])
