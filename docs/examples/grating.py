"""A complete encoding in one file: a sine grating of six numbers.

Name it in a config as ``encoding: {name: docs/examples/grating.py:Grating}``, or load it with
``evofool.encodings.load("docs/examples/grating.py:Grating", shape)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evofool.images import Shape, Size, UInt8Images
from evofool.operators import Genes, polynomial_mutation, sbx

NAMES = ("frequency", "angle", "phase", "red", "green", "blue")


class Grating:
    """Parallel waves of one colour; a genome is six float32 genes on [0, 1], see `NAMES`."""

    name = "grating"

    def __init__(self, shape: Shape, max_waves: int = 32) -> None:
        if max_waves < 1:
            raise ValueError(f"max_waves: must be at least 1, not {max_waves}")
        self.channels = shape[0]
        self.options = {"max_waves": max_waves}

    def sample(self, rng: np.random.Generator) -> Genes:
        return rng.random(len(NAMES), dtype=np.float32)

    def mutate(self, genome: Genes, rng: np.random.Generator, generation: int = 0) -> Genes:
        return polynomial_mutation(genome, rng, rate=0.5)

    def mate(self, first: Genes, second: Genes, rng: np.random.Generator) -> tuple[Genes, Genes]:
        return sbx(first, second, rng)

    def render(self, genomes: Sequence[Genes], size: Size) -> UInt8Images:
        y, x = (axis / max(size) for axis in np.mgrid[: size[0], : size[1]])
        images = np.empty((len(genomes), self.channels, *size), dtype=np.uint8)
        for image, (frequency, angle, phase, *colour) in zip(images, genomes, strict=True):
            across = x * np.cos(np.pi * angle) + y * np.sin(np.pi * angle)
            waves = frequency * self.options["max_waves"] * across + phase
            for channel, strength in zip(image, colour, strict=False):
                channel[:] = 255 * strength * (0.5 + 0.5 * np.sin(2 * np.pi * waves))
        return images

    def dump(self, genome: Genes) -> bytes:
        return genome.astype("<f4").tobytes()

    def load(self, data: bytes) -> Genes:
        genome = np.frombuffer(data, dtype="<f4").astype(np.float32)  # a ValueError if cut short
        if genome.shape != (len(NAMES),) or not np.all((genome >= 0) & (genome <= 1)):
            raise ValueError(f"a grating is {len(NAMES)} numbers on [0, 1]")
        return genome

    def describe(self, genome: Genes) -> dict[str, Any]:
        return {"kind": self.name, **dict(zip(NAMES, genome.tolist(), strict=True))}
