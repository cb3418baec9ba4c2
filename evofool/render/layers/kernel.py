"""Draws stacks of layers, in numba: tiles of pixels, from the lowest layer that can be seen.

Every step is a loop over the pixels of a tile that LLVM turns into vector instructions; nothing is
called but multiplications, square roots and tables. What a gene g means is written where it is
used. Coordinates are on [-1/2, 1/2].

Importing this module imports numba and compiles the kernels, or loads them from numba's cache.
They are in one file because that cache only notices a change of the file a kernel is in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evofool.jit import F, jit
from evofool.render.layers.tables import SIDE

_FAST = frozenset({"nnan", "ninf", "nsz", "arcp", "contract", "afn"})
TILE = 1024
"""Pixels a tile."""
ROWS = 10
"""Rows of scratch beside two for each layer: x, y, u, v, the field, noise, three colours, |x|."""

_f = np.float32
_SIDE, _LAST = _f(SIDE), np.int32(SIDE - 1)
_SHIFT = np.int32(SIDE.bit_length() - 1)
_TABLE = SIDE * SIDE
_0, _1, _2, _3, _HALF = _f(0), _f(1), _f(2), _f(3), _f(0.5)
_TURN = _f(2 * np.pi)
_INV_TURN = _f(1 / (2 * np.pi))
_PER_UNIT = _f(1 / 16)  # of a table, which holds 16 cells


def _jit(signature: str) -> Callable[[F], F]:
    return jit(signature, _FAST)


# --- functions of a number -----------------------------------------------------------------


@_jit("f4(f4)")
def _smooth_step(x: Any) -> Any:
    x = x if x > _0 else _0
    x = x if x < _1 else _1
    return x * x * (_3 - _2 * x)


@_jit("f4(f4)")
def _upper(g: Any) -> Any:
    """0 for the lower half of a gene, then 0 to 1: half of all layers go without."""
    return (_2 * g - _1) if g > _HALF else _0


@_jit("f4(f4, f4)")
def _turns(y: Any, x: Any) -> Any:
    """The angle of a point in turns, on [-1/2, 1/2] (atan2 by a polynomial, within 1e-6)."""
    a, b = abs(x), abs(y)
    low = a if a < b else b
    high = (a if a > b else b) + _f(1e-9)
    z = low / high
    q = z * z
    r = _f(0.05265332) - q * _f(0.01172120)
    r = _f(0.19354346) + q * (_f(-0.11643287) + q * r)
    r = z * (_f(0.99997726) + q * (_f(-0.33262347) + q * r))
    r = r if b <= a else _f(np.pi / 2) - r
    r = r if x >= _0 else _f(np.pi) - r
    return (r if y >= _0 else -r) * _INV_TURN


@_jit("f4(f4)")
def _wave(x: Any) -> Any:
    """A triangle between 0 and 1, of period 1."""
    x = x - np.floor(x)
    return _1 - abs(_2 * x - _1)


@_jit("f4(f4[::1], f4, f4)")
def _look(table: Any, u: Any, v: Any) -> Any:
    """A table at a place in units of its side, bilinear, repeated in both directions."""
    u, v = u * _SIDE, v * _SIDE
    left, top = np.floor(u), np.floor(v)
    a, b = u - left, v - top
    i, j = np.int32(left) & _LAST, np.int32(top) & _LAST
    right, lower = (i + np.int32(1)) & _LAST, (j + np.int32(1)) & _LAST
    above, below = j << _SHIFT, lower << _SHIFT
    p, q = table[above + i], table[above + right]
    r, s = table[below + i], table[below + right]
    p = p + (q - p) * a
    r = r + (s - r) * a
    return p + (r - p) * b


# --- rows ----------------------------------------------------------------------------------


@_jit("void(f4[::1], f4[::1], f4[::1], f4, f4, f4, f4[::1])")
def _noise_row(table: Any, x: Any, y: Any, scale: Any, du: Any, dv: Any, out: Any) -> None:
    for p in range(len(out)):
        out[p] = _look(table, x[p] * scale + du, y[p] * scale + dv)


@_jit("void(f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1])")
def _chart_row(genes: Any, tables: Any, x: Any, y: Any, u: Any, v: Any, noise: Any) -> None:
    """Coordinates of the plane: warped by noise, moved, turned, stretched."""
    cx, cy = (genes[2] - _HALF) * _f(1.4), (genes[3] - _HALF) * _f(1.4)
    angle = genes[1] * _TURN
    c, s = np.cos(angle), np.sin(angle)
    stretch = np.exp2((genes[4] - _HALF) * _3)
    warp = _upper(genes[5])
    warp = warp * warp * _HALF
    m = len(u)
    if warp > _0:
        scale = np.exp2(genes[6] * _f(3.5)) * _PER_UNIT
        smooth = tables[:_TABLE]
        _noise_row(smooth, x, y, scale, genes[7], genes[8], u)
        _noise_row(smooth, x, y, scale, genes[8] + _f(0.37), genes[7] + _f(0.71), noise)
        for p in range(m):
            a = x[p] + (u[p] - _HALF) * warp - cx
            b = y[p] + (noise[p] - _HALF) * warp - cy
            u[p] = (a * c + b * s) * stretch
            v[p] = b * c - a * s
    else:
        for p in range(m):
            a, b = x[p] - cx, y[p] - cy
            u[p] = (a * c + b * s) * stretch
            v[p] = b * c - a * s


@_jit("void(u1, f4[::1], f4, f4[::1], f4[::1])")
def _polar_row(chart: Any, genes: Any, scale: Any, u: Any, v: Any) -> None:
    """Radius and angle in place of the coordinates; in a spiral each depends on the other."""
    if chart == 1:
        rays = np.floor(_1 + genes[31] * _f(12)) / scale
        arms, twist = _0, _0
    else:
        rays = np.floor(_1 + genes[4] * _f(6)) / scale
        arms, twist = rays, (genes[31] - _HALF) * _f(8) / scale
    for p in range(len(u)):
        r = np.sqrt(u[p] * u[p] + v[p] * v[p])
        t = _turns(v[p], u[p])
        u[p] = r + t * arms
        v[p] = t * rays + twist * r


@_jit("void(u1, f4[::1], f4[::1], f4, f4[::1], f4[::1], f4[::1])")
def _field_row(field: Any, genes: Any, tables: Any, scale: Any, u: Any, v: Any, out: Any) -> None:
    """The field at the coordinates, on [0, 1]."""
    m = len(out)
    du, dv = genes[7], genes[8]
    if field < 4:
        table = tables[field * _TABLE : (field + 1) * _TABLE]
        _noise_row(table, u, v, scale * _PER_UNIT, du, dv, out)
    elif field == 4:
        for p in range(m):
            out[p] = _wave(u[p] * scale + du)
    elif field == 5:
        for p in range(m):
            a, b = _wave(u[p] * scale + du), _wave(v[p] * scale + dv)
            out[p] = a if a < b else b
    elif field == 6:
        for p in range(m):
            a, b = _wave(u[p] * scale + du) - _1, _wave(v[p] * scale + dv) - _1
            d = _1 - np.sqrt(a * a + b * b)
            out[p] = d if d > _0 else _0
    else:
        k = scale * scale * _f(0.25)
        for p in range(m):
            out[p] = _1 / (_1 + (u[p] * u[p] + v[p] * v[p]) * k)


@_jit("f4(f4)")
def _bump(t: Any) -> Any:
    """1 at 0, falling smoothly to 0 at -1 and 1."""
    t = _1 - t * t
    return t * t if t > _0 else _0


@_jit("b1(u1, f4[::1])")
def _has_edge(mask: Any, genes: Any) -> Any:
    """Whether a layer has a shadow around it or an outline."""
    return mask != 0 and (genes[32] > _HALF or genes[33] > _HALF)


@_jit("void(f4[::1], f4[::1], f4[::1])")
def _edge_row(genes: Any, mask: Any, edge: Any) -> None:
    """How far inside the layer each pixel is becomes what the layer's edge takes from its light:
    a shadow on what lies below, and an outline on the layer itself."""
    shadow = _upper(genes[32]) * _HALF
    outline = _upper(genes[33]) * _HALF
    thin = _1 / (_f(0.015) + genes[34] * _f(0.075))
    for p in range(len(mask)):
        d, shown = edge[p], mask[p]
        outside = d if d < _0 else _0
        below = shadow * _bump(outside * _f(11)) * (_1 - shown)
        edge[p] = below + outline * _bump(d * thin) * shown


@_jit("f4(u1, f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1])")
def _mask_row(mask: Any, genes: Any, tables: Any, x: Any, y: Any, out: Any, edge: Any) -> Any:
    """How much of the layer each pixel shows, on [0, 1], and the layer's edge if it has one.

    Returns the least of what is shown.
    """
    m = len(out)
    opacity = _upper(genes[26])
    opacity = _1 - opacity * opacity * _f(0.7)
    if mask == 0:
        for p in range(m):
            out[p] = opacity
        return opacity
    mx, my = genes[22] - _HALF, genes[23] - _HALF
    size = _f(0.08) + genes[24] * _HALF
    angle = genes[27] * _TURN
    c, s = np.cos(angle), np.sin(angle)
    stretch = np.exp2((genes[28] - _HALF) * _f(2.5))
    if mask == 3:
        _noise_row(tables[:_TABLE], x, y, _f(0.1) + size, genes[29], genes[30], out)
        shift = (genes[24] - _HALF) * _f(0.15) - _f(0.15)
        for p in range(m):
            out[p] = out[p] * _f(0.3) + shift
    else:
        for p in range(m):
            a, b = x[p] - mx, y[p] - my
            u = (a * c + b * s) * stretch
            v = b * c - a * s
            if mask == 1:
                out[p] = size - np.sqrt(u * u + v * v)
            elif mask == 2:
                au, av = abs(u), abs(v)
                out[p] = size - (au if au > av else av)
            elif mask == 4:
                out[p] = u
            else:
                out[p] = size * _f(0.35) - abs(np.sqrt(u * u + v * v) - size)
    sharp = _1 / (_f(0.005) + genes[25] * genes[25] * _f(0.3))
    edged = _has_edge(mask, genes)
    if edged:
        for p in range(m):
            edge[p] = out[p]
    least = _1
    for p in range(m):
        shown = opacity * _smooth_step(out[p] * sharp + _HALF)
        out[p] = shown
        least = shown if shown < least else least
    if edged:
        _edge_row(genes, out, edge)
    return least


@_jit("f4(f4[::1])")
def _most(row: Any) -> Any:
    most = _0
    for p in range(len(row)):
        most = row[p] if row[p] > most else most
    return most


@_jit("void(f4, f4, f4[::1], f4[::1], f4[::1])")
def _blend_two(first: Any, second: Any, value: Any, mask: Any, out: Any) -> None:
    step = second - first
    for p in range(len(out)):
        out[p] += mask[p] * (first + step * value[p] - out[p])


@_jit("void(f4, f4, f4, f4, f4[::1], f4[::1], f4[::1])")
def _blend_four(
    first: Any, second: Any, third: Any, fourth: Any, value: Any, mask: Any, out: Any
) -> None:
    one, two, three = second - first, third - second, fourth - third
    for p in range(len(out)):
        z = value[p]
        a = z if z < _1 else _1
        b = z - _1
        b = b if b > _0 else _0
        b = b if b < _1 else _1
        c = z - _2
        c = c if c > _0 else _0
        colour = first + one * a + two * b + three * c
        out[p] += mask[p] * (colour - out[p])


@_jit("void(f4[::1], f4[::1], f4[::1], f4[::1], f4[::1])")
def _palette_row(genes: Any, light: Any, value: Any, mask: Any, colours: Any) -> None:
    """Colours the field and lays it over what is there, as the mask says.

    Two to four colours; the fourth is a dark mixture of the first and the third.
    """
    m = len(value)
    count = np.floor(_2 + genes[10] * _f(2.999))
    sharp = _1 / (_f(0.04) + genes[9] * _f(0.96))
    if count == _2:
        for p in range(m):
            value[p] = _smooth_step((value[p] - _HALF) * sharp + _HALF)
    else:
        steps = count - _1
        for p in range(m):
            z = value[p] * steps
            i = np.floor(z)
            i = i if i < steps - _1 else steps - _1
            value[p] = i + _smooth_step((z - i - _HALF) * sharp + _HALF)
    for k in range(len(light)):
        first, second, third = genes[11 + k], genes[14 + k], genes[17 + k]
        row = colours[k * TILE : k * TILE + m]
        if count == _2:
            _blend_two(first, second, value, mask, row)
        else:
            fourth = (first + third) * _HALF - _f(0.15) * light[k]
            _blend_four(first, second, third, fourth, value, mask, row)


@_jit("void(f4, f4[::1], f4[::1], f4[::1])")
def _light_row(factor: Any, light: Any, value: Any, colours: Any) -> None:
    """Adds light, a number a pixel, to the colours."""
    m = len(value)
    for k in range(len(light)):
        row, share = colours[k * TILE : k * TILE + m], factor * light[k]
        for p in range(m):
            row[p] += share * value[p]


@_jit("void(f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1])")
def _shade_row(
    genes: Any, light: Any, tables: Any, x: Any, y: Any, mask: Any, noise: Any, colours: Any
) -> None:
    """Fractal noise that makes what the layer shows lighter and darker."""
    strength = _upper(genes[20])
    strength = strength * strength * _f(0.9)
    if strength == _0:
        return
    scale = np.exp2(genes[21] * _f(4)) * _PER_UNIT
    m = len(noise)
    _noise_row(tables[_TABLE : 2 * _TABLE], x, y, scale, genes[29], genes[30], noise)
    for p in range(m):
        noise[p] = (noise[p] - _HALF) * strength * mask[p]
    _light_row(_1, light, noise, colours)


@_jit("void(f4[::1], i8, f4[::1], f4[::1], f4[::1], f4[::1], f4[::1])")
def _ground_row(
    ground: Any, channels: Any, tables: Any, x: Any, y: Any, value: Any, colours: Any
) -> None:
    """Two colours along a direction, with noise between them."""
    m = len(value)
    angle = ground[6] * _TURN
    c, s = np.cos(angle) * _f(1.2), np.sin(angle) * _f(1.2)
    _noise_row(tables[:_TABLE], x, y, _f(0.2), ground[7], ground[8], value)
    for p in range(m):
        t = _HALF + x[p] * c + y[p] * s + (value[p] - _HALF) * ground[9]
        value[p] = _smooth_step(t)
    for k in range(channels):
        first, step = ground[k], ground[3 + k] - ground[k]
        row = colours[k * TILE : k * TILE + m]
        for p in range(m):
            row[p] = first + step * value[p]


@_jit("void(i8, i8, f4[::1], f4[::1], u1[::1])")
def _level_row(channel: Any, channels: Any, matrix: Any, colours: Any, out: Any) -> None:
    """Genes to levels: an affine map of the colours, see `COLOUR`."""
    m = len(out)
    if channels == 1:
        for p in range(m):
            v = colours[p] * matrix[0] + matrix[3]
            v = v if v > _0 else _0
            out[p] = np.uint8((v if v < _1 else _1) * _f(255) + _HALF)
        return
    a, b, c, d = matrix[0], matrix[1], matrix[2], matrix[3]
    first, second, third = colours[:m], colours[TILE : TILE + m], colours[2 * TILE : 2 * TILE + m]
    for p in range(m):
        v = first[p] * a + second[p] * b + third[p] * c + d
        v = v if v > _0 else _0
        out[p] = np.uint8((v if v < _1 else _1) * _f(255) + _HALF)


# --- pictures ------------------------------------------------------------------------------


@_jit("void(u1[:,::1], f4[:,::1], f4[::1], i8, i8, f4[::1], f4[::1])")
def fields(
    kinds: Any, genes: Any, tables: Any, height: Any, width: Any, rows: Any, out: Any
) -> None:
    """Draws fields alone, without colours or masks.

    Args:
        kinds: N x 2, chart and field.
        genes: N x 36.
        tables: `noise_tables`, flat.
        height: and `width`, of the pictures.
        rows: scratch, five times `TILE`.
        out: N x height x width, flat; written.
    """
    pixels = height * width
    for n in range(len(kinds)):
        g = genes[n]
        scale = np.exp2(g[0] * _f(5))
        for start in range(0, pixels, TILE):
            m = min(TILE, pixels - start)
            x, y = rows[:m], rows[TILE : TILE + m]
            u, v = rows[2 * TILE : 2 * TILE + m], rows[3 * TILE : 3 * TILE + m]
            for p in range(m):
                down = (start + p) // width
                y[p] = (_f(down) + _HALF) / _f(height) - _HALF
                x[p] = (_f(start + p - down * width) + _HALF) / _f(width) - _HALF
            _chart_row(g, tables, x, y, u, v, rows[4 * TILE : 4 * TILE + m])
            if kinds[n, 0]:
                _polar_row(kinds[n, 0], g, scale, u, v)
            at = n * pixels + start
            _field_row(kinds[n, 1], g, tables, scale, u, v, out[at : at + m])


@_jit(
    "void(i8[::1], f4[:,::1], u1[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[::1], i8, i8,"
    " f4[::1], u1[::1])"
)
def render(
    first: Any,
    grounds: Any,
    kinds: Any,
    genes: Any,
    tables: Any,
    matrix: Any,
    light: Any,
    height: Any,
    width: Any,
    rows: Any,
    images: Any,
) -> None:
    """Draws every stack.

    Args:
        first: and the following three: a `Stacks`.
        tables: `noise_tables`, flat.
        matrix: channels x 4, from colour genes and 1 to levels on [0, 1].
        light: (channels,), what light adds to each colour gene.
        height: and `width`, of the pictures.
        rows: scratch, `TILE` times the sum of `ROWS` and twice the largest number of layers.
        images: N x channels x height x width, flat; written.
    """
    channels = len(matrix)
    pixels = height * width
    colours = rows[6 * TILE : 9 * TILE]
    for n in range(len(first) - 1):
        low, high = first[n], first[n + 1]
        mirrored = grounds[n, 10] > _f(0.75)
        for start in range(0, pixels, TILE):
            m = min(TILE, pixels - start)
            x, y = rows[:m], rows[TILE : TILE + m]
            u, v = rows[2 * TILE : 2 * TILE + m], rows[3 * TILE : 3 * TILE + m]
            value, noise = rows[4 * TILE : 4 * TILE + m], rows[5 * TILE : 5 * TILE + m]
            half = rows[9 * TILE : 9 * TILE + m]
            for p in range(m):
                at = start + p
                down = at // width
                y[p] = (_f(down) + _HALF) / _f(height) - _HALF
                half[p] = abs((_f(at - down * width) + _HALF) / _f(width) - _HALF)
                x[p] = half[p] if mirrored else (_f(at - down * width) + _HALF) / _f(width) - _HALF
            # from the top down: what lies under a layer that hides all of a tile is not drawn
            bottom = low
            for layer in range(high - 1, low - 1, -1):
                at = (ROWS + 2 * (layer - low)) * TILE
                mask, edge = rows[at : at + m], rows[at + TILE : at + TILE + m]
                g = genes[layer]
                across = half if g[35] > _f(0.7) else x
                if _mask_row(kinds[layer, 2], g, tables, across, y, mask, edge) >= _1:
                    bottom = layer
                    colours[:] = _0  # which it covers: scratch may hold what is no number
                    break
            else:
                _ground_row(grounds[n], channels, tables, x, y, value, colours)
            for layer in range(bottom, high):
                at = (ROWS + 2 * (layer - low)) * TILE
                mask, edge = rows[at : at + m], rows[at + TILE : at + TILE + m]
                g = genes[layer]
                if _most(mask) > _0:
                    scale = np.exp2(g[0] * _f(5))
                    across = half if g[35] > _f(0.7) else x
                    _chart_row(g, tables, across, y, u, v, noise)
                    if kinds[layer, 0]:
                        _polar_row(kinds[layer, 0], g, scale, u, v)
                    _field_row(kinds[layer, 1], g, tables, scale, u, v, value)
                    _palette_row(g, light, value, mask, colours)
                    _shade_row(g, light, tables, x, y, mask, noise, colours)
                if _has_edge(kinds[layer, 2], g):
                    _light_row(-_1, light, edge, colours)
            for k in range(channels):
                at = (n * channels + k) * pixels + start
                _level_row(k, channels, matrix[k], colours, images[at : at + m])
