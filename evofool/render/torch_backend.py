"""The interpreter of tapes in plain PyTorch, for devices that have no better one.

A genome at a time, in node order, in place over planes of pixels: this is the fastest of what was
tried in PyTorch (a population padded into one tensor computes mostly padding, and its planes fall
out of the caches). It needs neither numba nor OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch

from evofool.images import Size
from evofool.render.colour import fullness, natural_parts
from evofool.render.cppn import Colour, Coords, coordinate_planes
from evofool.render.tape import PLANES, Tapes

_INV_LEVELS = 0.003921568859368563  # 1 / 255 as float32 has it


def render(
    tapes: Tapes,
    size: Size,
    *,
    coords: Coords,
    colour: Colour,
    native: Size,
    device: torch.device,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """As `evofool.render.render_cppn`: N x outputs x height x width uint8 on `device`.

    `bias` is N x height x width float32, there too.
    """
    shape = (len(tapes), tapes.outputs, size[0] * size[1])
    images = torch.empty(shape, dtype=torch.uint8, device=device)
    with torch.no_grad():
        planes = torch.from_numpy(coordinate_planes(size, coords, native)).to(device)
        for image, output in zip(images, _outputs(tapes, planes, bias), strict=True):
            # Some libraries' tanh and sine may round to beyond 1.
            levels = output.abs_().mul_(255.0).clamp_(max=255.0).to(torch.uint8)
            image.copy_(to_rgb(levels, colour) if tapes.outputs == 3 else levels)
    return images.view(*shape[:2], *size)


def values(
    tapes: Tapes,
    size: Size,
    *,
    coords: Coords,
    native: Size,
    device: torch.device,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """As `evofool.render.output_values`: N x outputs x height x width float32 on `device`.

    `bias` is N x height x width float32, there too.
    """
    shape = (len(tapes), tapes.outputs, size[0] * size[1])
    result = torch.empty(shape, dtype=torch.float32, device=device)
    with torch.no_grad():
        planes = torch.from_numpy(coordinate_planes(size, coords, native)).to(device)
        for each, output in zip(result, _outputs(tapes, planes, bias), strict=True):
            each.copy_(output)
    return result.view(*shape[:2], *size)


def activate(code: int, p: torch.Tensor) -> None:
    """Replaces the sums `p` (float32 of any shape) in place by activation `code`.

    Codes are indices into `evofool.render.ACTIVATIONS`.
    """
    if code == 0:
        p.sin_()
    elif code == 1:
        p.mul_(0.5).tanh_()  # 2 (sigmoid(p) - 1/2) = tanh(p / 2)
    elif code == 2:
        p.square_().neg_().exp_()
    elif code == 3:
        p.clamp_(-3.0, 3.0).mul_(1 / 3)
    else:
        p.mul_(5.0).tanh_()


def to_rgb(levels: torch.Tensor, colour: Colour) -> torch.Tensor:
    """`levels` (uint8 3 x pixels) read as `colour`, converted to red, green and blue.

    The result is uint8 3 x pixels too, and equal to that of `evofool.render.render_cppn`.
    """
    if colour == "rgb":
        return levels
    if levels.device.type == "mps":  # it has no float64, which HSV needs
        return to_rgb(levels.cpu(), colour).to(levels.device)
    if colour == "natural":
        parts = torch.from_numpy(natural_parts()).to(levels.device)
        a, b, c = (parts[:, k].index_select(1, levels[k].int()) for k in range(3))
        return a.add_(b).add_(c).clamp_(0.0, 255.0).round_().byte()
    full = torch.from_numpy(fullness()).to(levels.device).index_select(1, levels[0].int())
    second, third = levels[1:].float().mul_(_INV_LEVELS)
    if colour == "hls":
        chroma = torch.minimum(second, 1.0 - second).mul_(third)
        primaries = full.mul_(chroma + chroma).add_(second - chroma)
    else:
        # Every level times 7650 is an integer, and odd multiples of 3825 lie half-way between two
        # levels. Where those go is up to the last bit, so this does what LLVM makes of the CPU's
        # kernel: v - v m by a fused multiply-add. A float64 holds the product of two float32.
        missing = (1.0 - full).mul_(second).double()
        value = third.double()
        primaries = value.sub(missing.mul_(value)).float().double()
    return primaries.mul_(255.0).round_().byte()


def _outputs(
    tapes: Tapes, planes: torch.Tensor, bias: torch.Tensor | None
) -> Iterator[torch.Tensor]:
    """The output nodes of each tape, float32 outputs x pixels, overwritten by those of the next.

    Args:
        planes: x, y, radius, 3 x pixels float32.
        bias: what the bias input is, N x height x width float32; None where it is 1.
    """
    of = [None] * len(tapes) if bias is None else list(bias.flatten(1))
    rows = planes.new_empty((tapes.rows, planes.shape[1]))
    rows[:PLANES] = planes
    views = rows.unbind()
    nodes, edges = tapes.nodes.tolist(), tapes.edges.tolist()
    codes, constants = tapes.codes.tolist(), tapes.constants.tolist()
    slots, weights = tapes.slots.tolist(), tapes.weights.tolist()
    for (first, last), one in zip(pairwise(nodes), of, strict=True):
        for node in range(first, last):
            row = views[PLANES + node - first]
            if one is None:
                row.fill_(constants[node])
            else:
                torch.mul(one, constants[node], out=row)
            for edge in range(edges[node], edges[node + 1]):
                row.add_(views[slots[edge]], alpha=weights[edge])
            activate(codes[node], row)
        end = PLANES + last - first
        yield rows[end - tapes.outputs : end]
