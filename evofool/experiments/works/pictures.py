"""Labelled pictures in works, by the digest of their pixels and classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evofool.experiments.engine import outside
from evofool.images import UInt8Images


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures.

    Attributes:
        digest: hex sha256 of shape, pixels and classes.
        images: uint8 N x C x H x W.
        labels: int64 (N,), classes of the net that they are shown to.
    """

    digest: str
    images: UInt8Images = outside()
    labels: NDArray[np.int64] = outside()

    @classmethod
    def of(cls, images: UInt8Images, labels: NDArray[np.int64]) -> Pictures:
        """Pictures uint8 N x C x H x W, whose classes `labels` are (N,)."""
        digest = hashlib.sha256(f"{images.shape}".encode())
        digest.update(np.ascontiguousarray(images).data)
        digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
        return cls(digest.hexdigest(), images, labels)

    def __len__(self) -> int:
        return len(self.images)

    def first(self, n: int) -> Pictures:
        """The first `n` of them, or all if there are fewer."""
        if n >= len(self):
            return self
        return Pictures.of(self.images[:n], self.labels[:n])
