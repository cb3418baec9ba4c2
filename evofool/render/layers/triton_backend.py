# mypy: disable-error-code="import-untyped,import-not-found,untyped-decorator"
"""Draws stacks of layers by one Triton kernel, for CUDA: from numbers to 8-bit pixels in a launch.

A work item is a tile of pixels of one picture, whose colours stay in registers while its layers
are laid over each other. It follows `kernel`, where every formula is explained; what does not
depend on the pixel is worked out beforehand (`parameters`). Square roots and divisions are IEEE
ones, so that pixels do not depend on the GPU.

Importing this module imports Triton; the kernel is compiled by its first launch.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray

from evofool.images import Size
from evofool.render.devices import LAUNCHING
from evofool.render.layers import parameters as numbers
from evofool.render.layers.stack import Stacks
from evofool.render.layers.tables import noise_tables

TILE = 512
"""Pixels a tile."""
WARPS = 4

_N = numbers.LAYER.index
_LAYER = tl.constexpr(len(numbers.LAYER))
_WARP, _WARP_SCALE = tl.constexpr(_N("warp")), tl.constexpr(_N("warp scale"))
_SEED_U, _SEED_V = tl.constexpr(_N("seed u")), tl.constexpr(_N("seed v"))
_CENTRE_X, _CENTRE_Y = tl.constexpr(_N("centre x")), tl.constexpr(_N("centre y"))
_COSINE, _SINE = tl.constexpr(_N("cosine")), tl.constexpr(_N("sine"))
_STRETCH, _SCALE = tl.constexpr(_N("stretch")), tl.constexpr(_N("scale"))
_RAYS, _ARMS = tl.constexpr(_N("rays")), tl.constexpr(_N("arms"))
_TWIST, _OPACITY = tl.constexpr(_N("twist")), tl.constexpr(_N("opacity"))
_MASK_X, _MASK_Y = tl.constexpr(_N("mask x")), tl.constexpr(_N("mask y"))
_MASK_SIZE, _SHARPNESS = tl.constexpr(_N("mask size")), tl.constexpr(_N("sharpness"))
_MASK_COSINE, _MASK_SINE = tl.constexpr(_N("mask cosine")), tl.constexpr(_N("mask sine"))
_MASK_STRETCH, _MASK_SCALE = tl.constexpr(_N("mask stretch")), tl.constexpr(_N("mask scale"))
_MASK_SHIFT, _MASK_SEED_U = tl.constexpr(_N("mask shift")), tl.constexpr(_N("mask seed u"))
_MASK_SEED_V, _SHADOW = tl.constexpr(_N("mask seed v")), tl.constexpr(_N("shadow"))
_OUTLINE, _THINNESS = tl.constexpr(_N("outline")), tl.constexpr(_N("thinness"))
_STEPS, _STEP_SHARPNESS = tl.constexpr(_N("steps")), tl.constexpr(_N("step sharpness"))
_SHADE, _SHADE_SCALE = tl.constexpr(_N("shade")), tl.constexpr(_N("shade scale"))
_FIRST, _SECOND = tl.constexpr(_N("first a")), tl.constexpr(_N("second a"))
_THIRD, _FOURTH = tl.constexpr(_N("third a")), tl.constexpr(_N("fourth a"))
_FOLD = tl.constexpr(_N("fold"))
_G = numbers.GROUND.index
_GROUND = tl.constexpr(len(numbers.GROUND))
_GROUND_FIRST, _GROUND_STEP = tl.constexpr(_G("first a")), tl.constexpr(_G("step a"))
_GROUND_COSINE, _GROUND_SINE = tl.constexpr(_G("cosine")), tl.constexpr(_G("sine"))
_GROUND_U, _GROUND_V = tl.constexpr(_G("seed u")), tl.constexpr(_G("seed v"))
_GROUND_NOISE, _MIRROR = tl.constexpr(_G("noise")), tl.constexpr(_G("mirror"))


@triton.jit
def _smooth_step(x):  # type: ignore[no-untyped-def]
    x = tl.minimum(tl.maximum(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


@triton.jit
def _unit(x):  # type: ignore[no-untyped-def]
    return tl.minimum(tl.maximum(x, 0.0), 1.0)


@triton.jit
def _bump(t):  # type: ignore[no-untyped-def]
    t = tl.maximum(1.0 - t * t, 0.0)
    return t * t


@triton.jit
def _wave(x):  # type: ignore[no-untyped-def]
    x = x - tl.floor(x)
    return 1.0 - tl.abs(2.0 * x - 1.0)


@triton.jit
def _turns(y, x):  # type: ignore[no-untyped-def]
    """The polynomial of `kernel`."""
    a, b = tl.abs(x), tl.abs(y)
    z = tl.math.div_rn(tl.minimum(a, b), tl.maximum(a, b) + 1e-9)
    q = z * z
    r = 0.05265332 - q * 0.01172120
    r = 0.19354346 + q * (-0.11643287 + q * r)
    r = z * (0.99997726 + q * (-0.33262347 + q * r))
    r = tl.where(b <= a, r, 1.5707963267948966 - r)
    r = tl.where(x >= 0.0, r, 3.141592653589793 - r)
    return tl.where(y >= 0.0, r, -r) * 0.15915494309189535


@triton.jit
def _look(table, u, v):  # type: ignore[no-untyped-def]
    """A table of 256 x 256 at a place in units of its side, bilinear, repeated."""
    u, v = u * 256.0, v * 256.0
    left, top = tl.floor(u), tl.floor(v)
    a, b = u - left, v - top
    i, j = left.to(tl.int32) & 255, top.to(tl.int32) & 255
    right = (i + 1) & 255
    above, below = table + j * 256, table + ((j + 1) & 255) * 256
    p, q = tl.load(above + i), tl.load(above + right)
    r, s = tl.load(below + i), tl.load(below + right)
    p = p + (q - p) * a
    r = r + (s - r) * a
    return p + (r - p) * b


@triton.jit
def _inside(kind, g, tables, x, y):  # type: ignore[no-untyped-def]
    """How far inside a mask each pixel is, negative outside."""
    size = tl.load(g + _MASK_SIZE)
    if kind == 3:
        scale = tl.load(g + _MASK_SCALE)
        du, dv = tl.load(g + _MASK_SEED_U), tl.load(g + _MASK_SEED_V)
        noise = _look(tables, x * scale + du, y * scale + dv)
        inside = noise * 0.3 + tl.load(g + _MASK_SHIFT)
    else:
        a, b = x - tl.load(g + _MASK_X), y - tl.load(g + _MASK_Y)
        c, s = tl.load(g + _MASK_COSINE), tl.load(g + _MASK_SINE)
        u = (a * c + b * s) * tl.load(g + _MASK_STRETCH)
        v = b * c - a * s
        if kind == 2:
            inside = size - tl.maximum(tl.abs(u), tl.abs(v))
        elif kind == 4:
            inside = u
        else:
            r = tl.sqrt_rn(u * u + v * v)
            inside = tl.where(kind == 1, size - r, size * 0.35 - tl.abs(r - size))
    return inside


@triton.jit
def _field(chart, field, g, tables, x, y):  # type: ignore[no-untyped-def]
    """The field of a layer at each pixel, on [0, 1]."""
    du, dv = tl.load(g + _SEED_U), tl.load(g + _SEED_V)
    scale = tl.load(g + _SCALE)
    a, b = x - tl.load(g + _CENTRE_X), y - tl.load(g + _CENTRE_Y)
    warp = tl.load(g + _WARP)
    if warp > 0.0:
        per = tl.load(g + _WARP_SCALE)
        a += (_look(tables, x * per + du, y * per + dv) - 0.5) * warp
        b += (_look(tables, x * per + (dv + 0.37), y * per + (du + 0.71)) - 0.5) * warp
    c, s = tl.load(g + _COSINE), tl.load(g + _SINE)
    u = (a * c + b * s) * tl.load(g + _STRETCH)
    v = b * c - a * s
    if chart > 0:
        r = tl.sqrt_rn(u * u + v * v)
        t = _turns(v, u)
        u = r + t * tl.load(g + _ARMS)
        v = t * tl.load(g + _RAYS) + tl.load(g + _TWIST) * r
    if field < 4:
        per = scale * 0.0625
        value = _look(tables + field * 65536, u * per + du, v * per + dv)
    elif field == 7:
        value = tl.math.div_rn(1.0, 1.0 + (u * u + v * v) * (scale * scale * 0.25))
    else:
        a, b = _wave(u * scale + du), _wave(v * scale + dv)
        round_dot = tl.maximum(1.0 - tl.sqrt_rn((a - 1.0) * (a - 1.0) + (b - 1.0) * (b - 1.0)), 0.0)
        value = tl.where(field == 4, a, tl.where(field == 5, tl.minimum(a, b), round_dot))
    return value


@triton.jit
def _over(under, g, k: tl.constexpr, z, mask, extra):  # type: ignore[no-untyped-def]
    """Colour k of a layer at stage `z` of its palette over what lies under it, and its light."""
    first, second = tl.load(g + _FIRST + k), tl.load(g + _SECOND + k)
    third, fourth = tl.load(g + _THIRD + k), tl.load(g + _FOURTH + k)
    colour = first + (second - first) * tl.minimum(z, 1.0)
    colour += (third - second) * _unit(z - 1.0) + (fourth - third) * tl.maximum(z - 2.0, 0.0)
    return under + mask * (colour - under) + extra


@triton.jit(do_not_specialize=["stacks", "tiles", "height", "width"])
def draw(  # type: ignore[no-untyped-def]
    ints,
    floats,
    tables,
    out,
    stacks,
    tiles,
    height,
    width,
    CHANNELS: tl.constexpr,  # noqa: N803
    TILE: tl.constexpr,  # noqa: N803
):
    """Draws a tile of a stack.

    Args:
        ints: int32; of a `Parameters` first, lowest, covered, kinds.
        floats: float32; the colour matrix (3 x 4), light (4 numbers), grounds, layers.
        tables: 4 x 256 x 256 float32, `noise_tables`.
        out: stacks x CHANNELS x height x width uint8.
        stacks: how many there are.
        tiles: of one picture.
        height: and `width`, of the pictures.
    """
    item = tl.program_id(0)
    n = item // tiles
    pixels = height * width
    at = (item % tiles) * TILE + tl.arange(0, TILE)
    inside = at < pixels
    down = at // width
    y = tl.math.div_rn(down.to(tl.float32) + 0.5, height.to(tl.float32)) - 0.5
    x = tl.math.div_rn((at - down * width).to(tl.float32) + 0.5, width.to(tl.float32)) - 0.5
    lowest = tl.load(ints + stacks + 1 + n)
    covered = tl.load(ints + 2 * stacks + 1 + n)
    kinds = ints + 3 * stacks + 1
    light = floats + 12
    ground = floats + 16 + n * _GROUND
    genes = floats + 16 + stacks * _GROUND
    half = tl.abs(x)
    if tl.load(ground + _MIRROR) > 0.5:
        x = half
    red, green, blue = x * 0.0, x * 0.0, x * 0.0
    if covered == 0:
        value = x * tl.load(ground + _GROUND_COSINE) + y * tl.load(ground + _GROUND_SINE)
        u, v = tl.load(ground + _GROUND_U), tl.load(ground + _GROUND_V)
        noise = _look(tables, x * 0.2 + u, y * 0.2 + v) - 0.5
        value = _smooth_step(0.5 + value + noise * tl.load(ground + _GROUND_NOISE))
        red = tl.load(ground + _GROUND_FIRST) + tl.load(ground + _GROUND_STEP) * value
        if CHANNELS == 3:
            first, step = ground + _GROUND_FIRST, ground + _GROUND_STEP
            green = tl.load(first + 1) + tl.load(step + 1) * value
            blue = tl.load(first + 2) + tl.load(step + 2) * value
    for layer in range(lowest, tl.load(ints + n + 1)):
        g = genes + layer * _LAYER
        mask_kind = tl.load(kinds + 3 * layer + 2)
        across = x
        if tl.load(g + _FOLD) > 0.5:
            across = half
        opacity = tl.load(g + _OPACITY)
        mask = x * 0.0 + opacity
        edge = x * 0.0
        if mask_kind != 0:
            depth = _inside(mask_kind, g, tables, across, y)
            mask = opacity * _smooth_step(depth * tl.load(g + _SHARPNESS) + 0.5)
            below = tl.load(g + _SHADOW) * _bump(tl.minimum(depth, 0.0) * 11.0) * (1.0 - mask)
            line = tl.load(g + _OUTLINE) * _bump(depth * tl.load(g + _THINNESS)) * mask
            edge = below + line
        z = x * 0.0
        lit = -edge
        if tl.max(mask) > 0.0:  # of a layer that this tile does not show only the shadow is left
            chart, field = tl.load(kinds + 3 * layer), tl.load(kinds + 3 * layer + 1)
            value = _field(chart, field, g, tables, across, y)
            steps = tl.load(g + _STEPS)
            z = value * steps
            i = tl.minimum(tl.floor(z), steps - 1.0)
            z = i + _smooth_step((z - i - 0.5) * tl.load(g + _STEP_SHARPNESS) + 0.5)
            shade = tl.load(g + _SHADE)
            if shade > 0.0:
                per = tl.load(g + _SHADE_SCALE)
                u, v = tl.load(g + _MASK_SEED_U), tl.load(g + _MASK_SEED_V)
                noise = _look(tables + 65536, x * per + u, y * per + v) - 0.5
                lit += noise * shade * mask
        red = _over(red, g, 0, z, mask, lit * tl.load(light))
        if CHANNELS == 3:
            green = _over(green, g, 1, z, mask, lit * tl.load(light + 1))
            blue = _over(blue, g, 2, z, mask, lit * tl.load(light + 2))
    start = out + tl.cast(n, tl.int64) * CHANNELS * pixels + at
    for k in tl.static_range(CHANNELS):
        row = floats + 4 * k
        level = red * tl.load(row) + tl.load(row + 3)
        if CHANNELS == 3:
            level += green * tl.load(row + 1) + blue * tl.load(row + 2)
        level = _unit(level) * 255.0 + 0.5
        tl.store(start + k * pixels, level.to(tl.int32).to(tl.uint8), mask=inside)


def render(
    stacks: Stacks,
    size: Size,
    matrix: NDArray[np.float32],
    light: NDArray[np.float32],
    device: torch.device,
) -> torch.Tensor:
    """As `evofool.render.layers.render_layers`: N x channels x height x width uint8 on `device`.

    Args:
        stacks: at least one, with their colours toned.
        size: height and width.
        matrix: channels x 4 float32, from colour genes and 1 to levels on [0, 1].
        light: (channels,) float32, what light adds to each colour gene.
        device: a CUDA device, or the CPU under Triton's interpreter.
    """
    channels = len(matrix)
    images = torch.empty((len(stacks), channels, *size), dtype=torch.uint8, device=device)
    tiles = triton.cdiv(size[0] * size[1], TILE)
    of = numbers.parameters(stacks, light)
    ints = [of.first, of.lowest, of.covered, of.kinds.reshape(-1)]
    constants = np.zeros(16, np.float32)
    constants[: 4 * channels] = matrix.reshape(-1)
    constants[12 : 12 + channels] = light
    floats = [constants, of.grounds.reshape(-1), of.layers.reshape(-1)]
    on_device = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
    with LAUNCHING, on_device:
        draw[(len(stacks) * tiles,)](
            torch.from_numpy(np.concatenate(ints)).to(device),
            torch.from_numpy(np.concatenate(floats)).to(device),
            _tables(device),
            images,
            len(stacks),
            tiles,
            *size,
            CHANNELS=channels,
            TILE=TILE,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )
    return images


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> torch.Tensor:
    return torch.from_numpy(noise_tables().reshape(-1).copy()).to(device)
