"""Stacks as the numbers that drawing takes, worked out once a layer and not once a pixel.

What a gene means is said in `kernel`, formula by formula; these are the same formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evofool.render.layers.stack import GENES, Stacks

LAYER = (
    "warp", "warp scale", "seed u", "seed v", "centre x", "centre y",
    "cosine", "sine", "stretch", "scale", "rays", "arms", "twist",
    "opacity", "mask x", "mask y", "mask size", "mask cosine", "mask sine", "mask stretch",
    "mask scale", "mask shift", "mask seed u", "mask seed v", "sharpness",
    "shadow", "outline", "thinness", "steps", "step sharpness", "shade", "shade scale",
    "first a", "first b", "first c", "second a", "second b", "second c",
    "third a", "third b", "third c", "fourth a", "fourth b", "fourth c", "fold",
)  # fmt: skip
"""Names of a layer's numbers."""
GROUND = (
    "first a", "first b", "first c", "step a", "step b", "step c",
    "cosine", "sine", "seed u", "seed v", "noise", "mirror",
)  # fmt: skip
"""Names of the ground's numbers."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Parameters:
    """The numbers of a batch of N stacks.

    Attributes:
        first: (N + 1,) int32: the layers of stack n end before ``first[n + 1]``.
        lowest: (N,) int32, the lowest layer of each stack that can be seen.
        covered: (N,) int32, 1 where that layer hides the ground.
        grounds: N x `GROUND` float32.
        kinds: (layers) x 3 int32: chart, field, mask.
        layers: (layers) x `LAYER` float32.
    """

    first: NDArray[np.int32]
    lowest: NDArray[np.int32]
    covered: NDArray[np.int32]
    grounds: Floats
    kinds: NDArray[np.int32]
    layers: Floats


def parameters(stacks: Stacks, light: Floats) -> Parameters:
    """The numbers of `stacks`, whose colours are toned already.

    Args:
        stacks: at least one.
        light: (channels,) float32, what light adds to each colour gene.
    """
    opaque = (stacks.kinds[:, 2] == 0) & (stacks.genes[:, GENES.index("transparency")] <= 0.5)
    lowest, covered = _lowest_seen(stacks.first, opaque)
    return Parameters(
        stacks.first.astype(np.int32),
        lowest,
        covered,
        _grounds(stacks.grounds),
        stacks.kinds.astype(np.int32),
        _layers(stacks, light),
    )


def _lowest_seen(
    first: NDArray[np.int64], opaque: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The last opaque layer of each stack, or its first layer, and which of the two it is."""
    last = np.maximum.accumulate(np.where(opaque, np.arange(len(opaque)), -1))
    at_end = np.concatenate(([-1], last))[first[1:]]
    covered = at_end >= first[:-1]
    return np.where(covered, at_end, first[:-1]).astype(np.int32), covered.astype(np.int32)


def _grounds(genes: Floats) -> Floats:
    angle = genes[:, 6] * np.float32(2 * np.pi)
    numbers = np.empty((len(genes), len(GROUND)), np.float32)
    numbers[:, 0:3] = genes[:, 0:3]
    numbers[:, 3:6] = genes[:, 3:6] - genes[:, 0:3]
    numbers[:, 6], numbers[:, 7] = np.cos(angle) * 1.2, np.sin(angle) * 1.2
    numbers[:, 8:11] = genes[:, 7:10]
    numbers[:, 11] = genes[:, 10] > 0.75
    return numbers


def _layers(stacks: Stacks, light: Floats) -> Floats:
    g = stacks.genes.T.astype(np.float64)
    angle, turned = g[1] * (2 * np.pi), g[27] * (2 * np.pi)
    scale = np.exp2(g[0] * 5)
    is_polar, is_spiral = stacks.kinds[:, 0] == 1, stacks.kinds[:, 0] == 2
    rays = np.floor(np.where(is_polar, 1 + g[31] * 12, 1 + g[4] * 6)) / scale
    fourth = (g[11:14] + g[17:20]) * 0.5
    fourth[: len(light)] -= 0.15 * light[:, None]
    numbers = {
        "warp": 0.5 * _upper(g[5]) ** 2,
        "warp scale": np.exp2(g[6] * 3.5) / 16,
        "seed u": g[7],
        "seed v": g[8],
        "centre x": (g[2] - 0.5) * 1.4,
        "centre y": (g[3] - 0.5) * 1.4,
        "cosine": np.cos(angle),
        "sine": np.sin(angle),
        "stretch": np.exp2((g[4] - 0.5) * 3),
        "scale": scale,
        "rays": rays,
        "arms": np.where(is_spiral, rays, 0),
        "twist": np.where(is_spiral, (g[31] - 0.5) * 8 / scale, 0),
        "opacity": 1 - 0.7 * _upper(g[26]) ** 2,
        "mask x": g[22] - 0.5,
        "mask y": g[23] - 0.5,
        "mask size": 0.08 + g[24] * 0.5,
        "mask cosine": np.cos(turned),
        "mask sine": np.sin(turned),
        "mask stretch": np.exp2((g[28] - 0.5) * 2.5),
        "mask scale": 0.18 + g[24] * 0.5,
        "mask shift": (g[24] - 0.5) * 0.15 - 0.15,
        "mask seed u": g[29],
        "mask seed v": g[30],
        "sharpness": 1 / (0.005 + g[25] ** 2 * 0.3),
        "shadow": 0.5 * _upper(g[32]),
        "outline": 0.5 * _upper(g[33]),
        "thinness": 1 / (0.015 + g[34] * 0.075),
        "steps": np.floor(2 + g[10] * 2.999) - 1,
        "step sharpness": 1 / (0.04 + g[9] * 0.96),
        "shade": 0.9 * _upper(g[20]) ** 2,
        "shade scale": np.exp2(g[21] * 4) / 16,
        "fold": g[35] > 0.7,
    }
    for k, letter in enumerate("abc"):
        numbers[f"first {letter}"] = g[11 + k]
        numbers[f"second {letter}"] = g[14 + k]
        numbers[f"third {letter}"] = g[17 + k]
        numbers[f"fourth {letter}"] = fourth[k]
    stacked = np.stack([numbers[name] for name in LAYER], axis=1)
    return np.ascontiguousarray(stacked, dtype=np.float32)


def _upper(genes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(2 * genes - 1, 0)
