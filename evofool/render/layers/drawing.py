"""Stacks to pixels: in numba on the CPU, in PyTorch on devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evofool.images import Size, UInt8Images
from evofool.render.layers.colour import LayerColour, colour_matrix, light, toned
from evofool.render.layers.stack import Stacks
from evofool.render.layers.tables import noise_tables

if TYPE_CHECKING:
    import torch


def render_layers(stacks: Stacks, size: Size, *, channels: int, colour: LayerColour) -> UInt8Images:
    """The pictures of a batch of stacks, N x channels x height x width uint8; releases the GIL.

    Args:
        stacks: whose pictures are drawn.
        size: height and width. The coordinates of a picture are the same at every size, so it is
            sampled more finely or coarsely.
        channels: 1 or 3.
        colour: what the colour genes mean where there are three.
    """
    from evofool.render.layers import kernel

    images = np.empty((len(stacks), channels, *size), dtype=np.uint8)
    most = int(np.diff(stacks.first).max(initial=0))
    stacks = toned(stacks, channels, colour)
    kernel.render(
        stacks.first,
        stacks.grounds,
        stacks.kinds,
        stacks.genes,
        noise_tables().reshape(-1),
        colour_matrix(channels, colour),
        light(channels, colour),
        *size,
        np.empty((kernel.ROWS + 2 * most) * kernel.TILE, dtype=np.float32),
        images.reshape(-1),
    )
    return images


def tensor_renderer(device: torch.device | str) -> str:
    """What draws stacks on a device: ``torch``; on the CPU what `render_layers` uses, ``host``."""
    import torch

    return "host" if torch.device(device).type == "cpu" else "torch"


def render_layers_tensor(
    stacks: Stacks,
    size: Size,
    *,
    channels: int,
    colour: LayerColour,
    device: torch.device | str,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """The pictures of `render_layers` by PyTorch, N x channels x height x width uint8 on `device`.

    It computes in `dtype` (float32 by default) and rounds in places where `render_layers` does
    not, so pixels differ: a run that scores these must store these.
    """
    import torch

    from evofool.render.layers.torch_backend import Drawing

    stacks = toned(stacks, channels, colour)
    drawing = Drawing(
        stacks, size, torch.device(device), dtype or torch.float32, light(channels, colour)
    )
    return drawing.levels(colour_matrix(channels, colour))
