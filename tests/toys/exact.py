"""A victim and an encoding in exact integer arithmetic: the same digests on every machine.

Loaded by path, as a user's own would be.
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import Classifier, from_predict

CLASSES = 7
SIDE = 6
_batches = itertools.count(1)


def _pace() -> None:
    """What a test asks for: be slow, and after so many batches wait as long as a file is there.

    Whoever waits says so by a file beside it, ``NAME.held``.
    """
    time.sleep(float(os.environ.get("TOY_SECONDS_A_BATCH", "0")))
    if next(_batches) > int(os.environ.get("TOY_BATCHES", "1000000000")):
        hold = Path(os.environ["TOY_HOLD"])
        while hold.exists():
            hold.with_suffix(".held").touch()
            time.sleep(0.01)


def _weights() -> NDArray[np.int64]:
    pixels = np.arange(SIDE * SIDE)
    return np.stack([(pixels * (3 * c + 5) + c * c) % 23 - 11 for c in range(CLASSES)])


def _predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    _pace()
    logits = images.reshape(len(images), -1).astype(np.int64) @ _weights().T
    return logits / 4096.0  # a power of two: exact


def victim() -> Classifier:
    """Independent sigmoids, so that a log-odds is the logit itself, without any rounding."""
    return from_predict(
        _predict, input_shape=(1, SIDE, SIDE), output="logits", link="sigmoid", name="toy"
    )


class Bytes:
    """Pixels as bytes: mutation draws some anew, crossover swaps the halves."""

    name = "bytes"

    def __init__(self, shape: tuple[int, int, int], rate: float = 0.1, swap: bool = False) -> None:
        if not 0 < rate <= 1:
            raise ValueError(f"rate must lie in (0, 1], not {rate}")
        self.options: dict[str, Any] = {"rate": rate, "swap": swap}
        self._shape = shape
        self._rate = rate
        self._swap = swap

    def sample(self, rng: np.random.Generator) -> bytes:
        return rng.integers(0, 256, int(np.prod(self._shape)), dtype=np.uint8).tobytes()

    def mutate(self, genome: bytes, rng: np.random.Generator, generation: int = 0) -> bytes:
        genes = np.frombuffer(genome, np.uint8).copy()
        chosen = rng.integers(0, 1000, len(genes)) < int(1000 * self._rate)
        genes[chosen] = rng.integers(0, 256, int(chosen.sum()), dtype=np.uint8)
        return genes.tobytes()

    def mate(self, first: bytes, second: bytes, rng: np.random.Generator) -> tuple[bytes, bytes]:
        if not self._swap:
            return first, second
        at = int(rng.integers(1, len(first)))
        return first[:at] + second[at:], second[:at] + first[at:]

    def render(self, genomes: Sequence[bytes], size: tuple[int, int]) -> NDArray[np.uint8]:
        images = np.frombuffer(b"".join(genomes), np.uint8).reshape(-1, *self._shape)
        _, height, width = self._shape
        down, across = np.arange(size[0]) * height // size[0], np.arange(size[1]) * width // size[1]
        return images[:, :, down[:, None], across]

    def dump(self, genome: bytes) -> bytes:
        return struct.pack("<I", len(genome)) + genome

    def load(self, data: bytes) -> bytes:
        if len(data) != 4 + int(np.prod(self._shape)) or data[:4] != struct.pack(
            "<I", len(data) - 4
        ):
            raise ValueError("not the bytes of a genome")
        return data[4:]

    def describe(self, genome: bytes) -> dict[str, Any]:
        return {"kind": "bytes", "genes": len(genome)}
