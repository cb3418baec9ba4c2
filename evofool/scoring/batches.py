"""Micro-batches before they go through a net: checked, filled up and cropped, where they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from evofool.errors import ImageError, ScoringError
from evofool.images import FloatImages, Shape, UInt8Images
from evofool.scoring.crops import ten_crops, ten_crops_tensor
from evofool.scoring.devices import Batch

if TYPE_CHECKING:
    import torch


def is_tensor(images: object) -> TypeGuard[torch.Tensor]:
    """Whether `images` are a tensor; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(images, torch.Tensor)


def check_tensor(images: torch.Tensor, shape: Shape, device: str) -> torch.Tensor:
    """The gate for pictures that were drawn on a device: returns `images`, contiguous.

    Args:
        images: uint8 N x C x H x W.
        shape: the C x H x W that is wanted.
        device: where they must lie.

    Returns:
        uint8 N x C x H x W.

    Raises:
        ImageError: not a uint8 tensor N x C x H x W of this `shape` on this `device`.
    """
    import torch

    wanted = ("N", *shape)
    actual = tuple(images.shape)
    if images.dtype != torch.uint8 or len(actual) != 4 or actual[1:] != shape:
        raise ImageError(
            f"a tensor {images.dtype} {actual} was given, but uint8"
            f" ({', '.join(map(str, wanted))}) is needed"
        )
    if images.device != torch.device(device):
        raise ImageError(f"a tensor on {images.device} was given to a scorer on {device}")
    return images.contiguous()


def filled(images: Batch, rows: int) -> Batch:
    """`images` with black images after them, so that there are `rows` (none are taken away)."""
    short = rows - len(images)
    if short <= 0:
        return images
    shape = (short, *images.shape[1:])
    if is_tensor(images):
        import torch

        return torch.cat([images, images.new_zeros(shape)])
    assert isinstance(images, np.ndarray)
    return np.concatenate([images, np.zeros(shape, images.dtype)])


def cropped(images: Batch, size: int) -> Batch:
    """The ten crops of each image, (10 N) x C x size x size; see `evofool.scoring.crops`."""
    if is_tensor(images):
        return ten_crops_tensor(images, size)
    assert isinstance(images, np.ndarray)
    return ten_crops(images, size)


def levels_of(images: UInt8Images | FloatImages) -> UInt8Images:
    """A copy of `images`, any shape, as uint8: a victim that writes into it harms nobody.

    Raises:
        ScoringError: floats that do not lie on the 8-bit lattice k/255.
    """
    if images.dtype != np.uint8:
        levels = images * np.float32(255)
        if np.abs(levels - np.rint(levels)).max(initial=0.0) > 1e-3:
            raise ScoringError(
                "a black-box victim sees 8-bit pictures: round the images to the lattice k/255"
            )
        images = np.rint(levels)
    return images.astype(np.uint8)
