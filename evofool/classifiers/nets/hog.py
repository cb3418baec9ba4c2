"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005), as layers with gradients.

OpenCV 5 has left its `HOGDescriptor` out of its main package, and its values have no gradients.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from evofool.errors import ClassifierError
from evofool.images import Shape

CELL = 4
"""Side of a cell in pixels."""
BINS = 9
"""Directions, of which opposite ones are the same."""
_BLOCK = 2
"""Side of a block in cells; there is one at every cell."""
_CLIP = 0.2
_SMALL = 1e-2
"""Added to the lengths of blocks, so that the noise of an even surface is not blown up."""


class Hog(nn.Module):
    """float32 N x C x H x W on [0, 1] to descriptors, N x d.

    Differences of neighbours; in a colour picture those of the steepest channel of each pixel.
    Each pixel votes with its magnitude for the two nearest of 9 directions, in its cell of 4 x 4
    pixels. Blocks of 2 x 2 cells are divided by their length, clipped at .2 and divided again.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """d is 1,764 of 32 x 32 pixels."""
        padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
        down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
        squares = across.square() + down.square()
        steepest = squares.argmax(1, keepdim=True)
        across, down, squares = (each.gather(1, steepest) for each in (across, down, squares))
        even = squares < 1e-12  # no direction, and no slope of one
        angle = torch.atan2(down, torch.where(even, torch.ones_like(across), across))
        place = angle * (BINS / math.pi)
        centres = torch.arange(BINS, device=images.device, dtype=images.dtype) + 0.5
        half = BINS / 2
        away = place - centres.reshape(1, BINS, 1, 1)
        distance = (torch.remainder(away + half, BINS) - half).abs()
        magnitude = torch.where(even, torch.zeros_like(squares), squares.clamp_min(1e-12).sqrt())
        votes = magnitude * functional.relu(1 - distance)
        cells = functional.avg_pool2d(votes, CELL)
        blocks = torch.cat(
            [
                cells[..., y : y + cells.shape[2] - _BLOCK + 1, x : x + cells.shape[3] - _BLOCK + 1]
                for y in range(_BLOCK)
                for x in range(_BLOCK)
            ],
            dim=1,
        )
        return _unit(_unit(blocks).clamp_max(_CLIP)).flatten(1)


def check_sides(shape: Shape, name: str) -> None:
    """Refuses pictures that cells do not divide.

    Raises:
        ClassifierError: a side is no multiple of `CELL`, or shorter than a block.
    """
    least = _BLOCK * CELL
    if any(side % CELL or side < least for side in shape[1:]):
        raise ClassifierError(
            f"classifier {name}: histograms of gradients need sides that are multiples of {CELL}"
            f" and at least {least} pixels, not {shape[1]} x {shape[2]}"
        )


def _unit(blocks: torch.Tensor) -> torch.Tensor:
    """Blocks N x (4 bins) x h x w of about unit length."""
    return blocks / (blocks.square().sum(1, keepdim=True) + _SMALL**2).sqrt()
