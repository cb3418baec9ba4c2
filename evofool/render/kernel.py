"""The interpreter of tapes, in numba: tiles of pixels, activations, colour.

Tiles keep every slot of a tape in the first two levels of cache; the loops over the pixels of a
tile are what LLVM turns into vector instructions. Nothing here is parallel: callers render
micro-batches on threads of their own, and every kernel releases the GIL.

Importing this module imports numba and compiles the kernels, or loads them from numba's cache.
They are in one file because that cache only notices a change of the file a kernel is in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from evofool.jit import F, jit

# Not "reassoc": it would undo the exact range reduction of the sine.
_FAST = frozenset({"nnan", "ninf", "nsz", "arcp", "contract", "afn"})
TILE = 1024
"""Pixels a tile; 24 slots of it are 96 KiB, which the second level of cache holds."""

_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1), np.float32(2)
_LEVELS = np.float32(255)
# Adding 1.5 * 2^23 rounds a float32 to the nearest integer, which is then in its low bits.
_ROUND = np.float32(12582912.0)
_ROUND_BITS = np.int32(0x4B400000)


def _jit(signature: str) -> Callable[[F], F]:
    return jit(signature, _FAST)


def _bits_of(_: Any, value: Any) -> Any:
    """The bit pattern of a float32 as int32."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int32))

    return (types.int32(types.float32), code) if value == types.float32 else None


def _float_of(_: Any, value: Any) -> Any:
    """The float32 whose bit pattern is the low 32 bits of an int64."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        low = builder.trunc(arguments[0], context.get_value_type(types.int32))
        return builder.bitcast(low, context.get_value_type(types.float32))

    return (types.float32(types.int64), code) if value == types.int64 else None


_bits: Any = intrinsic(_bits_of)
_float: Any = intrinsic(_float_of)


# --- activations ---------------------------------------------------------------------------

_INV_PI = np.float32(1 / np.pi)
# Cody and Waite 1980: pi in pieces of 8 to 9 bits, so that k times a piece is exact for k < 2^15.
_PI_A = np.float32(3.140625)
_PI_B = np.float32(0.0009670257568359375)
_PI_C = np.float32(6.2771141529083251953125e-07)
_PI_D = np.float32(1.2154201256553420762e-10)
# Least squares on Chebyshev nodes: (sin r - r) / r^3, |r| <= pi/2; (2^f - 1) / f, |f| <= 1/2.
_S3, _S5 = np.float32(-0.16666656732559204), np.float32(0.008333010599017143)
_S7, _S9 = np.float32(-0.00019806201453320682), np.float32(2.5992781047534663e-06)
_E1, _E2 = np.float32(0.6931471824645996), np.float32(0.24022650718688965)
_E3, _E4 = np.float32(0.055503569543361664), np.float32(0.009618056938052177)
_E5, _E6 = np.float32(0.0013390866806730628), np.float32(0.00015461447765119374)
_LOG2_E = np.float32(1.4426950408889634)
_LOWEST = np.float32(-126)
_NOTHING = np.float32(2**-25)  # 1 - it and 1 + it are 1
_THREE, _THIRD, _TEN = np.float32(3), np.float32(1 / 3), np.float32(10)


@_jit("f4(f4)")
def _sine(p: Any) -> Any:
    shifted = p * _INV_PI + _ROUND
    k = shifted - _ROUND
    r = p - k * _PI_A
    r = r - k * _PI_B
    r = r - k * _PI_C
    r = r - k * _PI_D
    z = r * r
    value = r + r * z * (_S3 + z * (_S5 + z * (_S7 + z * _S9)))
    value = value if value < _ONE else _ONE
    value = value if value > -_ONE else -_ONE
    return _float(_bits(value) ^ (_bits(shifted) << 31))  # an odd k changes the sign


@_jit("f4(f4)")
def _exp2(t: Any) -> Any:
    """2^t for t <= 0, at least 2^-126."""
    t = t if t > _LOWEST else _LOWEST
    shifted = t + _ROUND
    f = t - (shifted - _ROUND)
    value = _ONE + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * (_E5 + f * _E6)))))
    return value * _float((_bits(shifted) - _ROUND_BITS + 127) << 23)


@_jit("f4(f4)")
def _tanh(p: Any) -> Any:
    t = _exp2(-_TWO * _LOG2_E * abs(p))
    value = (_ONE - t) / (_ONE + t)
    # Processors divide vectors by an estimate of 1 / x, and those of some makers miss 1 / 1.
    value = value if t > _NOTHING else _ONE
    return value if p > 0 else -value


@_jit("void(f4[::1], f4[::1])")
def _sine_row(p: Any, out: Any) -> None:
    for i in range(len(p)):
        out[i] = _sine(p[i])


@_jit("void(f4, f4[::1], f4[::1])")
def _tanh_row(scale: Any, p: Any, out: Any) -> None:
    for i in range(len(p)):
        out[i] = _tanh(scale * p[i])


@_jit("void(f4[::1], f4[::1])")
def _gaussian_row(p: Any, out: Any) -> None:
    for i in range(len(p)):
        value = _exp2(-_LOG2_E * (p[i] * p[i]))
        out[i] = value if value < _ONE else _ONE


@_jit("void(f4[::1], f4[::1])")
def _linear_row(p: Any, out: Any) -> None:
    for i in range(len(p)):
        value = p[i] if p[i] < _THREE else _THREE
        out[i] = (value if value > -_THREE else -_THREE) * _THIRD


@_jit("void(u1, f4[::1], f4[::1])")
def activate(code: Any, p: Any, out: Any) -> None:
    """Writes activation `code` of the sums `p` to `out`."""
    if code == 0:
        _sine_row(p, out)
    elif code == 1:
        _tanh_row(_HALF, p, out)  # 2 (sigmoid(p) - 1/2) = tanh(p / 2)
    elif code == 2:
        _gaussian_row(p, out)
    elif code == 3:
        _linear_row(p, out)
    else:
        _tanh_row(_TWO + _THREE, p, out)


# --- the interpreter -----------------------------------------------------------------------


@_jit("void(f4, f4[::1], i4[::1], f4[::1], f4[::1], f4[::1])")
def _sum_row(constant: Any, bias: Any, slots: Any, weights: Any, values: Any, p: Any) -> None:
    n = len(slots)
    m = len(p)
    e = n % 4
    if len(bias):
        for i in range(m):
            p[i] = constant * bias[i]
    else:
        for i in range(m):
            p[i] = constant
    for k in range(e):
        a = values[slots[k] * TILE :]
        u = weights[k]
        for i in range(m):
            p[i] += u * a[i]
    # Four inputs a pass: the sums are read and written a quarter as often.
    while e < n:
        a, b = values[slots[e] * TILE :], values[slots[e + 1] * TILE :]
        c, d = values[slots[e + 2] * TILE :], values[slots[e + 3] * TILE :]
        u, v, w, x = weights[e], weights[e + 1], weights[e + 2], weights[e + 3]
        for i in range(m):
            p[i] += u * a[i] + v * b[i] + w * c[i] + x * d[i]
        e += 4


_TAPE = "i4[::1], u1[::1], f4[::1], i4[::1], i4[::1], f4[::1]"


@_jit(f"void(i8, i8, {_TAPE}, f4[::1], f4[::1], f4[::1])")
def _run_tape(
    first: Any,
    last: Any,
    nodes: Any,
    codes: Any,
    constants: Any,
    edges: Any,
    slots: Any,
    weights: Any,
    bias: Any,
    values: Any,
    sums: Any,
) -> None:
    row = 3 * TILE
    for node in range(first, last):
        low, high = edges[node], edges[node + 1]
        _sum_row(constants[node], bias, slots[low:high], weights[low:high], values, sums)
        activate(codes[node], sums, values[row:])
        row += TILE


# --- pixels --------------------------------------------------------------------------------

_INV_LEVELS = np.float32(1 / 255)
_SECTORS = np.float32(6 / 180)  # of the colour circle, a hue step of 2 degrees
_SIX, _FOUR = np.float32(6), np.float32(4)


@_jit("f4(f4)")
def _unit(v: Any) -> Any:
    v = v if v > 0 else np.float32(0)
    return v if v < _ONE else _ONE


@_jit("u1(f4)")
def _byte(v: Any) -> Any:
    # To nearest, ties to even, as in OpenCV.
    return np.uint8(_bits(v * _LEVELS + _ROUND) & 255)


@_jit("u1(f4)")
def _clipped(v: Any) -> Any:
    """A level of 0 to 255, to nearest, ties to even."""
    v = v if v > 0 else np.float32(0)
    v = v if v < _LEVELS else _LEVELS
    return np.uint8(_bits(v + _ROUND) & 255)


@_jit("f4(f4)")
def _sector(hue: Any) -> Any:
    h = hue * _SECTORS
    return h if h < _SIX else h - _SIX


# How full a primary is in sector h of the hue. These forms subtract without rounding where
# OpenCV does, which keeps the results equal.


@_jit("f4(f4)")
def _red(h: Any) -> Any:
    return _unit(_TWO - h if h < _THREE else h - _FOUR)


@_jit("f4(f4)")
def _green(h: Any) -> Any:
    return _unit(h if h < _TWO else _FOUR - h)


@_jit("f4(f4)")
def _blue(h: Any) -> Any:
    return _unit(h - _TWO if h < _FOUR else _SIX - h)


@_jit("void(f4[::1], u1[::1], u1[::1], u1[::1])")
def hls_to_rgb(hls: Any, red: Any, green: Any, blue: Any) -> None:
    """Rows of `TILE` hues, lightnesses, saturations (levels 0..255) to red, green, blue.

    The result is that of OpenCV's 8-bit COLOR_HLS2RGB.
    """
    for i in range(len(red)):
        h = _sector(hls[i])
        light = hls[TILE + i] * _INV_LEVELS
        other = _ONE - light
        chroma = hls[2 * TILE + i] * _INV_LEVELS * (light if light < other else other)
        low = light - chroma
        span = chroma + chroma
        red[i] = _byte(low + span * _red(h))
        green[i] = _byte(low + span * _green(h))
        blue[i] = _byte(low + span * _blue(h))


@_jit("void(f4[::1], u1[::1], u1[::1], u1[::1])")
def hsv_to_rgb(hsv: Any, red: Any, green: Any, blue: Any) -> None:
    """Rows of `TILE` hues, saturations, values (levels 0..255) to red, green, blue.

    As OpenCV 5's 8-bit COLOR_HSV2RGB does it a pixel at a time, but for ties: rounded to nearest,
    as for HLS. Its vector instructions truncate HSV instead, a level less for a third of all
    values.
    """
    for i in range(len(red)):
        h = _sector(hsv[i])
        s = hsv[TILE + i] * _INV_LEVELS
        v = hsv[2 * TILE + i] * _INV_LEVELS
        red[i] = _byte(v * (_ONE - s * (_ONE - _red(h))))
        green[i] = _byte(v * (_ONE - s * (_ONE - _green(h))))
        blue[i] = _byte(v * (_ONE - s * (_ONE - _blue(h))))


@_jit("void(f4[::1], f4[::1], u1[::1], u1[::1], u1[::1])")
def natural_to_rgb(levels: Any, parts: Any, red: Any, green: Any, blue: Any) -> None:
    """Rows of `TILE` levels 0..255 of natural colours to red, green, blue.

    `parts` is `evofool.render.colour.natural_parts`, flat.
    """
    for i in range(len(red)):
        a = np.int32(levels[i])
        b = np.int32(256) + np.int32(levels[TILE + i])
        c = np.int32(512) + np.int32(levels[2 * TILE + i])
        red[i] = _clipped(parts[a] + parts[b] + parts[c])
        green[i] = _clipped(parts[768 + a] + parts[768 + b] + parts[768 + c])
        blue[i] = _clipped(parts[1536 + a] + parts[1536 + b] + parts[1536 + c])


@_jit("void(f4[::1])")
def _quantise(v: Any) -> None:
    for i in range(len(v)):
        v[i] = np.float32(np.int32(abs(v[i]) * _LEVELS))


@_jit("void(f4[::1], u1[::1])")
def _store(v: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = np.uint8(np.int32(v[i]))


@_jit("void(f4[::1], f4[::1])")
def _copy(v: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = v[i]


VALUES, PLAIN, HLS, HSV, NATURAL = -1, 0, 1, 2, 3
"""What `render` makes of the output nodes: floats, levels as they are, or levels as a colour."""


@_jit(f"void(i8, {_TAPE}, f4[::1], f4[::1], f4[::1], f4[::1], i8, u1[::1], f4[::1])")
def render(
    outputs: Any,
    nodes: Any,
    codes: Any,
    constants: Any,
    edges: Any,
    slots: Any,
    weights: Any,
    planes: Any,
    bias: Any,
    parts: Any,
    values: Any,
    mode: Any,
    images: Any,
    floats: Any,
) -> None:
    """Draws every tape.

    Args:
        outputs: and the following six: a `Tapes`.
        planes: x, y, radius of each pixel, one after another.
        bias: N x pixels, flat: the bias input of each tape; empty where it is 1.
        parts: `evofool.render.colour.natural_parts`, flat.
        values: scratch, `TILE` for each slot of the longest tape and one row more.
        mode: `VALUES`, `PLAIN`, `HLS`, `HSV` or `NATURAL`.
        images: N x outputs x pixels, flat; written unless the mode is `VALUES`.
        floats: the same, written if it is.
    """
    pixels = len(planes) // 3
    for n in range(len(nodes) - 1):
        first, last = nodes[n], nodes[n + 1]
        for start in range(0, pixels, TILE):
            m = pixels - start
            if m > TILE:
                m = TILE
            for plane in range(3):
                _copy(planes[plane * pixels + start :], values[plane * TILE : plane * TILE + m])
            sums = values[len(values) - TILE : len(values) - TILE + m]
            at = n * pixels + start
            one = bias[at : at + m] if len(bias) else bias
            _run_tape(
                first, last, nodes, codes, constants, edges, slots, weights, one, values, sums
            )
            rows = values[(3 + last - first - outputs) * TILE :]
            at = n * outputs * pixels + start
            if mode == VALUES:
                for c in range(outputs):
                    _copy(rows[c * TILE :], floats[at + c * pixels : at + c * pixels + m])
                continue
            _quantise(rows[: outputs * TILE])
            red = images[at : at + m]
            if mode == PLAIN:
                for c in range(outputs):
                    _store(rows[c * TILE :], images[at + c * pixels : at + c * pixels + m])
                continue
            green = images[at + pixels : at + pixels + m]
            blue = images[at + 2 * pixels : at + 2 * pixels + m]
            if mode == HLS:
                hls_to_rgb(rows, red, green, blue)
            elif mode == HSV:
                hsv_to_rgb(rows, red, green, blue)
            else:
                natural_to_rgb(rows, parts, red, green, blue)
