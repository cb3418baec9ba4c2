"""A stack of layers: what a layered picture is drawn from.

Over a ground of two colours lie layers. Each is a *field* (noise, stripes, cells, rings...) over a
*chart* of the plane (turned, scaled, warped, perhaps polar), coloured by a palette and cut out by
a *mask*. All numbers are genes on [0, 1]; `kernel` says what each of them means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

CHARTS = ("plane", "polar", "spiral")
"""Coordinates of a field: as they are, radius and angle, or these wound up."""
FIELDS = ("smooth noise", "fractal noise", "cells", "cracks", "stripes", "grid", "dots", "blob")
"""What a field shows: the first four are drawn from tables (`tables`)."""
MASKS = ("none", "disc", "square", "noise", "half", "ring")
"""What cuts a layer out."""
GENES = (
    "scale", "angle", "x", "y", "stretch", "warp", "warp scale", "seed u", "seed v",
    "softness", "colours",
    "first a", "first b", "first c", "second a", "second b", "second c",
    "third a", "third b", "third c",
    "shade", "shade scale",
    "mask x", "mask y", "mask size", "mask softness", "transparency", "mask angle", "mask stretch",
    "mask seed u", "mask seed v", "turns", "shadow", "outline", "outline width", "fold",
)  # fmt: skip
"""Names of a layer's genes."""
SEEDS = (7, 8, 29, 30)
"""Genes that are places in a table of noise: nearby values show something else."""
GROUND = (
    "first a", "first b", "first c", "second a", "second b", "second c",
    "angle", "seed u", "seed v", "noise", "mirror",
)  # fmt: skip
"""Names of the ground's genes."""
MOST_LAYERS = 64
"""Largest number of layers that a stack may have."""

Kinds: TypeAlias = NDArray[np.uint8]
"""uint8 L x 3: chart, field, mask of each layer, as indices."""
Genes: TypeAlias = NDArray[np.float32]
"""float32 on [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """A layered picture; immutable, equal to another where every array is equal.

    Attributes:
        ground: (11,) float32 on [0, 1], see `GROUND`.
        kinds: L x 3 uint8, see `CHARTS`, `FIELDS` and `MASKS`; the lowest layer first.
        genes: L x 36 float32 on [0, 1], see `GENES`.

    The constructor trusts its arguments (it is called for every child); `check` does not.
    """

    ground: Genes
    kinds: Kinds
    genes: Genes

    def __post_init__(self) -> None:
        for array in (self.ground, self.kinds, self.genes):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.kinds)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stack):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[bytes, bytes, bytes]:
        return self.ground.tobytes(), self.kinds.tobytes(), self.genes.tobytes()

    def check(self) -> None:
        """Raises ``ValueError`` unless all that the class promises holds."""
        layers = len(self.kinds)
        if layers > MOST_LAYERS:
            raise ValueError(f"{layers} layers are more than {MOST_LAYERS}")
        if self.ground.shape != (len(GROUND),) or self.kinds.shape != (layers, 3):
            raise ValueError("a stack has a ground and three kinds a layer")
        if self.genes.shape != (layers, len(GENES)):
            raise ValueError(f"a layer has {len(GENES)} genes")
        if (self.kinds >= np.array([len(CHARTS), len(FIELDS), len(MASKS)], np.uint8)).any():
            raise ValueError("a kind of a layer is not one of those there are")
        for genes in (self.ground, self.genes):
            if not ((genes >= 0) & (genes <= 1)).all():  # NaN is neither
                raise ValueError("a gene is below 0 or above 1")


@dataclass(frozen=True)
class Stacks:
    """A batch of N stacks, their layers one after another.

    Attributes:
        first: (N + 1,) int64: the layers of stack n are ``first[n]`` to ``first[n + 1]``.
        grounds: N x 11 float32.
        kinds: (layers) x 3 uint8.
        genes: (layers) x 36 float32.
    """

    first: NDArray[np.int64]
    grounds: Genes
    kinds: Kinds
    genes: Genes

    @classmethod
    def of(cls, stacks: Sequence[Stack]) -> Stacks:
        """Those of at least one stack, in their order."""
        first = np.zeros(len(stacks) + 1, np.int64)
        np.cumsum([len(stack) for stack in stacks], out=first[1:])
        return cls(
            first,
            np.stack([stack.ground for stack in stacks]),
            np.concatenate([stack.kinds for stack in stacks]),
            np.concatenate([stack.genes for stack in stacks]),
        )

    def __len__(self) -> int:
        return len(self.grounds)
