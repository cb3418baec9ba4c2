"""Stacks to pixels: in numba on the CPU, in Triton on CUDA, in PyTorch on other devices."""

from __future__ import annotations

from functools import lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.images import Size, UInt8Images
from evofool.render.devices import can_draw
from evofool.render.layers.colour import LayerColour, colour_matrix, light, toned
from evofool.render.layers.stack import GENES, GROUND, Genes, Kinds, Stack, Stacks
from evofool.render.layers.tables import noise_tables

if TYPE_CHECKING:
    import torch

TensorBackend: TypeAlias = Literal["torch", "triton"]


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


def render_fields(kinds: Kinds, genes: Genes, size: Size) -> NDArray[np.float32]:
    """Fields alone, without colours or masks: N x height x width float32 on [0, 1].

    Args:
        kinds: N x 2 uint8, chart and field, as indices.
        genes: N x 36 float32, those of layers.
        size: height and width.
    """
    from evofool.render.layers import kernel

    drawn = np.empty((len(kinds), *size), np.float32)
    tables, rows = noise_tables().reshape(-1), np.empty(5 * kernel.TILE, np.float32)
    kernel.fields(kinds, genes, tables, *size, rows, drawn.reshape(-1))
    return drawn


def render_fields_tensor(
    kinds: Kinds, genes: Genes, size: Size, device: torch.device | str
) -> torch.Tensor:
    """The fields of `render_fields` by PyTorch: N x height x width float32 on `device`.

    Args:
        kinds: N x 2 uint8, chart and field, as indices.
        genes: N x 36 float32, those of layers.
        size: height and width.
        device: where they are drawn.
    """
    import torch

    from evofool.render.layers.torch_backend import Drawing

    first = np.arange(len(kinds) + 1)
    masks = np.zeros((len(kinds), 1), np.uint8)
    grounds = np.zeros((len(kinds), len(GROUND)), np.float32)
    stacks = Stacks(first, grounds, np.concatenate((kinds, masks), 1), genes)
    drawing = Drawing(stacks, size, torch.device(device), torch.float32, np.ones(1, np.float32))
    return drawing.fields()


@lru_cache(maxsize=16)
def tensor_renderer(device: torch.device | str) -> Literal["host", "torch", "triton"]:
    """What draws stacks on a device: on the CPU what `render_layers` uses, ``host``.

    On CUDA it is Triton, or PyTorch where Triton is missing or cannot draw a small picture.
    """
    import torch

    kind = torch.device(device).type
    if kind != "cuda" or find_spec("triton") is None:
        return "host" if kind == "cpu" else "torch"
    ground = np.zeros(len(GROUND), np.float32)
    layer = Stack(ground, np.ones((1, 3), np.uint8), np.ones((1, len(GENES)), np.float32))
    draw = partial(
        render_layers_tensor,
        Stacks.of([layer]),
        (1, 1),
        channels=3,
        colour="natural",
        device=device,
        backend="triton",
    )
    return "triton" if can_draw(draw, device) else "torch"


def render_layers_tensor(
    stacks: Stacks,
    size: Size,
    *,
    channels: int,
    colour: LayerColour,
    device: torch.device | str,
    backend: TensorBackend = "torch",
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """The pictures of `render_layers`, N x channels x height x width uint8 on `device`.

    Args:
        stacks: and the following: see `render_layers`; at least one.
        device: where they are drawn.
        backend: what draws them.
        dtype: in which PyTorch computes, float32 by default. Triton always does in float32.

    Every back end rounds in places where the others do not, so pixels differ: a run that scores
    these must store these. On CUDA the call may return before the pictures are drawn.
    """
    import torch

    device, stacks = torch.device(device), toned(stacks, channels, colour)
    matrix, lit = colour_matrix(channels, colour), light(channels, colour)
    if backend == "triton":
        from evofool.render.layers.triton_backend import render

        return render(stacks, size, matrix, lit, device)
    from evofool.render.layers.torch_backend import Drawing

    return Drawing(stacks, size, device, dtype or torch.float32, lit).levels(matrix)
