"""Ten crops: the four corners and the centre, and the mirror image of each (Krizhevsky 2012)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evofool.images import FloatImages, UInt8Images

if TYPE_CHECKING:
    import torch


def corners(height: int, width: int, size: int) -> list[tuple[int, int]]:
    """Upper left corners of the five crops: four corners, then the centre."""
    bottom, right = height - size, width - size
    return [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]


def ten_crops(images: UInt8Images | FloatImages, size: int) -> UInt8Images | FloatImages:
    """The ten crops of each image, (10 N) x C x size x size; those of one image are neighbours."""
    parts = [
        images[..., y : y + size, x : x + size]
        for y, x in corners(images.shape[2], images.shape[3], size)
    ]
    parts += [part[..., ::-1] for part in parts]
    stacked = np.stack(parts, axis=1)
    return np.ascontiguousarray(stacked.reshape(-1, images.shape[1], size, size))


def ten_crops_tensor(images: torch.Tensor, size: int) -> torch.Tensor:
    """`ten_crops` on tensors, differentiable.

    Args:
        images: N x C x H x W, of any data type.
        size: height and width of a crop.

    Returns:
        (10 N) x C x size x size, of the same data type.
    """
    import torch

    parts = [
        images[..., y : y + size, x : x + size]
        for y, x in corners(int(images.shape[-2]), int(images.shape[-1]), size)
    ]
    parts += [part.flip(-1) for part in parts]
    return torch.stack(parts, dim=1).flatten(0, 1)
