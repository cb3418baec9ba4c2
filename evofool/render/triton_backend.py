# mypy: disable-error-code="import-untyped,import-not-found,untyped-decorator"
"""The interpreter of tapes as one Triton kernel, for CUDA: from tape to 8-bit pixels in a launch.

A work item is a tile of pixels of one genome. There are as many programs as keep a GPU busy, each
takes one item after another, and so the rows that hold a tape's slots number only as many as
programs run, however large the batch. Sums stay in registers.

Every float operation is an IEEE one, with fused multiply-adds where they are written and nowhere
else (no approximate sine, exponential or division of the GPU's), so that the pixels do not depend
on the GPU and are those of Triton's interpreter on the CPU (`TRITON_INTERPRET=1`; before it learnt
to round a multiply-add once, nearly those).

Importing this module imports Triton; the kernel is compiled by its first launch.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray

from evofool.images import Size
from evofool.render.colour import fullness, natural_parts
from evofool.render.cppn import Colour, Coords, coordinate_planes
from evofool.render.devices import LAUNCHING
from evofool.render.tape import PLANES, Tapes

TILE = 512
"""Pixels a tile: with `WARPS` warps four a thread, which reads them at once."""
WARPS = 4
PER_PROCESSOR = 8
"""Programs a multiprocessor: half its threads, and some 370 KiB of slots for 23 nodes."""
SCRATCH = 256 * 1024 * 1024
"""Bytes of slots at most; with tapes of thousands of nodes fewer programs run."""
_INTERPRETED = 3
"""Programs under the interpreter: more than one, and fewer than items."""

VALUES, PLAIN, HLS, HSV, NATURAL = -1, 0, 1, 2, 3
"""What the kernel makes of the output nodes; see `evofool.render.kernel`."""

# The polynomials and the range reduction are those of `evofool.render.kernel`, whose comments say
# where they come from. Reducing in float32 by pi in pieces (Cody and Waite 1980) costs four
# multiply-adds. Triton's own sine is the GPU's approximation, useless beyond some multiples of pi;
# libdevice's is exact at any argument, for which it carries a slow path no weight here can reach;
# float64 is 64 times slower than float32 on any but the largest GPUs.


@triton.jit
def _sine(p):  # type: ignore[no-untyped-def]
    shifted = tl.fma(p, 0.31830987334251404, 12582912.0)
    k = shifted - 12582912.0
    r = tl.fma(k, -3.140625, p)
    r = tl.fma(k, -0.0009670257568359375, r)
    r = tl.fma(k, -6.2771141529083251953125e-07, r)
    r = tl.fma(k, -1.2154201256553420762e-10, r)
    z = r * r
    value = tl.fma(z, 2.5992781047534663e-06, -0.00019806201453320682)
    value = tl.fma(z, value, 0.008333010599017143)
    value = tl.fma(z, value, -0.16666656732559204)
    value = tl.fma(r * z, value, r)
    value = tl.minimum(tl.maximum(value, -1.0), 1.0)
    sign = shifted.to(tl.int32, bitcast=True) << 31  # an odd k changes the sign
    return (value.to(tl.int32, bitcast=True) ^ sign).to(tl.float32, bitcast=True)


@triton.jit
def _exp2(t):  # type: ignore[no-untyped-def]
    t = tl.maximum(t, -126.0)
    shifted = t + 12582912.0
    f = t - (shifted - 12582912.0)
    value = tl.fma(f, 0.00015461447765119374, 0.0013390866806730628)
    value = tl.fma(f, value, 0.009618056938052177)
    value = tl.fma(f, value, 0.055503569543361664)
    value = tl.fma(f, value, 0.24022650718688965)
    value = tl.fma(f, value, 0.6931471824645996)
    value = tl.fma(f, value, 1.0)
    power = (shifted.to(tl.int32, bitcast=True) - 0x4B400000 + 127) << 23
    return value * power.to(tl.float32, bitcast=True)


@triton.jit
def _activate(code, p):  # type: ignore[no-untyped-def]
    if code == 0:
        value = _sine(p)
    elif code == 2:
        value = tl.minimum(_exp2(-1.4426950408889634 * (p * p)), 1.0)
    elif code == 3:
        value = tl.minimum(tl.maximum(p, -3.0), 3.0) * 0.3333333432674408
    else:
        # 2 (sigmoid(p) - 1/2) = tanh(p / 2)
        p *= tl.where(code == 1, 0.5, 5.0)
        t = _exp2(-2.885390043258667 * tl.abs(p))
        value = tl.math.div_rn(1.0 - t, 1.0 + t)
        value = tl.where(p > 0.0, value, -value)
    return value


@triton.jit
def _level(value):  # type: ignore[no-untyped-def]
    return (tl.abs(value) * 255.0).to(tl.int32)


@triton.jit
def _primary(full, second, third, MODE: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    if MODE == 1:
        chroma = third * tl.minimum(second, 1.0 - second)
        value = tl.fma(chroma + chroma, full, second - chroma)
    else:
        # Fused where LLVM fuses it on the CPU, for the last bit decides where ties go.
        value = tl.fma(-(second * (1.0 - full)), third, third)
    # To nearest, ties to even.
    return (tl.fma(value, 255.0, 12582912.0).to(tl.int32, bitcast=True) & 255).to(tl.uint8)


@triton.jit(do_not_specialize=["items", "tiles", "rows"])
def draw(  # type: ignore[no-untyped-def]
    nodes,
    codes,
    constants,
    edges,
    slots,
    weights,
    work,
    bias,
    table,
    out,
    items,
    tiles,
    pixels,
    rows,
    BIASED: tl.constexpr,  # noqa: N803
    OUTPUTS: tl.constexpr,  # noqa: N803
    MODE: tl.constexpr,  # noqa: N803
    TILE: tl.constexpr,  # noqa: N803
):
    """Draws every tile of every tape.

    Args:
        nodes: and the following five: a `Tapes`, `codes` as int32.
        work: float32; x, y and radius of `tiles` x `TILE` pixels each, then for each program
            `rows` rows of `TILE`.
        bias: if BIASED, the bias input of each tape, `tiles` x `TILE` float32.
        table: of `evofool.render.colour`: `natural_parts` if MODE is `NATURAL`, else `fullness`.
        out: tapes x OUTPUTS x pixels, uint8, or float32 if MODE is `VALUES`.
        items: tapes times tiles.
        tiles: of one picture.
        pixels: of one picture.
        rows: nodes of the longest tape.
    """
    lane = tl.arange(0, TILE)
    program = tl.program_id(0)
    # Multiples of TILE, for the compiler to see that threads can read four pixels at once.
    length = tl.cast(tiles, tl.int64) * TILE
    own = 3 * length + tl.cast(program, tl.int64) * rows * TILE
    for item in range(program, items, tl.num_programs(0)):
        genome = item // tiles
        start = (item % tiles) * TILE
        first = tl.load(nodes + genome)
        last = tl.load(nodes + genome + 1)
        for node in range(first, last):
            total = tl.zeros([TILE], tl.float32) + tl.load(constants + node)
            if BIASED:
                total *= tl.load(bias + genome * length + start + lane)
            low = tl.load(edges + node)
            high = tl.load(edges + node + 1)
            for edge in range(low, high):
                slot = tl.cast(tl.load(slots + edge), tl.int64)
                row = tl.where(slot < 3, slot * length + start, own + (slot - 3) * TILE)
                total = tl.fma(tl.load(work + row + lane), tl.load(weights + edge), total)
            value = _activate(tl.load(codes + node), total)
            tl.store(work + own + (node - first) * TILE + lane, value)
            # A thread may read what another one wrote: who holds which pixel can differ between
            # a store and a load.
            tl.debug_barrier()
        ends = work + own + (last - first - OUTPUTS) * TILE + lane
        inside = start + lane < pixels
        at = out + tl.cast(genome, tl.int64) * OUTPUTS * pixels + start + lane
        if MODE == -1:
            for channel in tl.static_range(OUTPUTS):
                tl.store(at + channel * pixels, tl.load(ends + channel * TILE), mask=inside)
        elif MODE == 0:
            for channel in tl.static_range(OUTPUTS):
                level = _level(tl.load(ends + channel * TILE))
                tl.store(at + channel * pixels, level.to(tl.uint8), mask=inside)
        elif MODE == 3:
            a, b = _level(tl.load(ends)), _level(tl.load(ends + TILE))
            c = _level(tl.load(ends + 2 * TILE))
            for channel in tl.static_range(3):
                of = table + channel * 768
                value = tl.load(of + a) + tl.load(of + 256 + b) + tl.load(of + 512 + c)
                value = tl.minimum(tl.maximum(value, 0.0), 255.0) + 12582912.0
                level = value.to(tl.int32, bitcast=True) & 255
                tl.store(at + channel * pixels, level.to(tl.uint8), mask=inside)
        else:
            hue = _level(tl.load(ends))
            second = _level(tl.load(ends + TILE)).to(tl.float32) * 0.003921568859368563
            third = _level(tl.load(ends + 2 * TILE)).to(tl.float32) * 0.003921568859368563
            for channel in tl.static_range(3):
                full = tl.load(table + channel * 256 + hue)
                primary = _primary(full, second, third, MODE)
                tl.store(at + channel * pixels, primary, mask=inside)
        tl.debug_barrier()  # the next item writes where this one was read


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
    modes = {"rgb": PLAIN, "hls": HLS, "hsv": HSV, "natural": NATURAL}
    images = torch.empty((len(tapes), tapes.outputs, *size), dtype=torch.uint8, device=device)
    mode = modes[colour] if tapes.outputs == 3 else PLAIN
    _launch(tapes, _planes(size, coords, native, device), bias, size[0] * size[1], mode, images)
    return images


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
    result = torch.empty((len(tapes), tapes.outputs, *size), dtype=torch.float32, device=device)
    _launch(tapes, _planes(size, coords, native, device), bias, size[0] * size[1], VALUES, result)
    return result


def _launch(
    tapes: Tapes,
    planes: torch.Tensor,
    bias: torch.Tensor | None,
    pixels: int,
    mode: int,
    out: torch.Tensor,
) -> None:
    tiles = planes.shape[1] // TILE
    items = len(tapes) * tiles
    if not items:
        return
    device = out.device
    rows = tapes.rows - PLANES
    programs = min(items, _programs(device), max(1, SCRATCH // (4 * TILE * rows)))
    work = torch.empty(planes.numel() + programs * rows * TILE, device=device)
    work[: planes.numel()] = planes.view(-1)
    padded = work  # a tensor must be handed over, read or not
    if bias is not None:
        padded = torch.nn.functional.pad(bias.flatten(1), (0, planes.shape[1] - pixels))
    on_device = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
    with LAUNCHING, on_device:
        draw[(programs,)](
            *_upload(tapes, device),
            work,
            padded.contiguous(),
            _table(mode, device),
            out,
            items,
            tiles,
            pixels,
            rows,
            BIASED=bias is not None,
            OUTPUTS=tapes.outputs,
            MODE=mode,
            TILE=TILE,
            num_warps=WARPS,
            num_stages=1,
            enable_fp_fusion=False,
        )


def _programs(device: torch.device) -> int:
    """How many run at a time."""
    if device.type != "cuda":
        return _INTERPRETED
    return PER_PROCESSOR * int(torch.cuda.get_device_properties(device).multi_processor_count)


def _upload(tapes: Tapes, device: torch.device) -> tuple[torch.Tensor, ...]:
    """nodes, codes (int32), constants, edges, slots and weights on `device`, by one transfer."""
    arrays: list[NDArray[Any]] = [
        tapes.nodes,
        tapes.codes.astype(np.int32),
        tapes.constants,
        tapes.edges,
        tapes.slots,
        tapes.weights,
    ]
    # Each starts at a multiple of 16 bytes: Triton compiles anew for other alignments.
    begins = np.cumsum([0] + [-(-len(array) // 4) * 4 for array in arrays]).tolist()
    host = np.zeros(begins[-1] + 4, dtype=np.int32)
    for begin, array in zip(begins, arrays, strict=False):
        host[begin : begin + len(array)] = array.view(np.int32)
    sent = torch.from_numpy(host).to(device)
    parts = [sent[begin:] for begin in begins[:-1]]
    for k in (2, 5):
        parts[k] = parts[k].view(torch.float32)
    return tuple(parts)


@lru_cache(maxsize=8)
def _planes(size: Size, coords: Coords, native: Size, device: torch.device) -> torch.Tensor:
    """`coordinate_planes` on `device`, rows filled up with zeros to whole tiles."""
    pixels = size[0] * size[1]
    padded = np.zeros((PLANES, triton.cdiv(pixels, TILE) * TILE), dtype=np.float32)
    padded[:, :pixels] = coordinate_planes(size, coords, native)
    return torch.from_numpy(padded).to(device)


@lru_cache(maxsize=8)
def _table(mode: int, device: torch.device) -> torch.Tensor:
    table = natural_parts() if mode == NATURAL else fullness()
    return torch.from_numpy(table.copy()).to(device)
