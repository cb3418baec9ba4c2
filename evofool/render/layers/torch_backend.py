"""Draws stacks of layers in plain PyTorch, on any device and in any float type.

Layers of all stacks of a batch are drawn at once, grouped by kind; they are then laid over each
other, the lowest layer of every stack first. It follows `kernel` formula by formula, where each is
explained, but draws what is hidden as well.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evofool.images import Size
from evofool.render.layers.stack import Stacks
from evofool.render.layers.tables import SIDE, noise_tables

PIXELS_AT_ONCE = 1 << 24
"""Of all layers together: some dozens of arrays of this length are in use."""


class Drawing:
    """The pictures of a batch of stacks.

    Args:
        stacks: at least one.
        size: height and width.
        device: where they are drawn.
        dtype: float type of all calculations.
        light: (channels,) float32, what light adds to each colour gene.
    """

    def __init__(
        self,
        stacks: Stacks,
        size: Size,
        device: torch.device,
        dtype: torch.dtype,
        light: NDArray[np.float32],
    ) -> None:
        self._stacks, self._size = stacks, size
        self._device, self._dtype = device, dtype
        self._tables = self._tensor(noise_tables())
        self._light = self._tensor(light)[:, None]
        down, across = ((torch.arange(n, device=device, dtype=dtype) + 0.5) / n - 0.5 for n in size)
        self._x = across.repeat(size[0])
        self._y = down.repeat_interleave(size[1])

    def levels(self, matrix: NDArray[np.float32]) -> Tensor:
        """N x channels x height x width uint8, by the colour `matrix`, channels x 4 float32."""
        stacks, pixels = self._stacks, len(self._x)
        channels, weights = len(matrix), self._tensor(matrix)
        images = []
        most = max(1, PIXELS_AT_ONCE // pixels)
        low = 0
        while low < len(stacks):
            high = low + 1
            while high < len(stacks) and stacks.first[high + 1] - stacks.first[low] <= most:
                high += 1
            colours = self._colours(low, high, channels)
            mixed = torch.einsum("kc,ncp->nkp", weights[:, :channels], colours)
            mixed = (mixed + weights[:, 3:]).clamp(0, 1)
            images.append((mixed * 255 + 0.5).to(torch.uint8))
            low = high
        return torch.cat(images).reshape(len(stacks), channels, *self._size)

    def fields(self) -> Tensor:
        """The field of every layer, layers x height x width of the drawing's float type, on
        [0, 1]."""
        genes = self._tensor(self._stacks.genes)
        across = self._x.expand(len(genes), -1)
        return self._fields(self._stacks.kinds, genes, across).view(-1, *self._size)

    def _colours(self, low: int, high: int, channels: int) -> Tensor:
        """Colour genes of the pixels of stacks low to high, n x channels x pixels."""
        stacks = self._stacks
        first = stacks.first[low : high + 1]
        grounds = self._tensor(stacks.grounds[low:high])
        x = torch.where(grounds[:, 10:11] > 0.75, self._x.abs(), self._x)
        colours = self._grounds(grounds, x, channels)
        layers = slice(int(first[0]), int(first[-1]))
        if layers.start == layers.stop:
            return colours
        kinds, genes = stacks.kinds[layers], self._tensor(stacks.genes[layers])
        x = x.repeat_interleave(torch.from_numpy(np.diff(first)).to(self._device), 0)
        across = torch.where(genes[:, 35:36] > 0.7, x.abs(), x)
        mask, edge = self._masks(kinds[:, 2], genes, across)
        light = (self._shades(genes, x) * mask - edge)[:, None] * self._light
        palette = self._palettes(self._fields(kinds, genes, across), genes, channels)
        for depth in range(int(np.diff(first).max())):
            whose = np.flatnonzero(np.diff(first) > depth)
            n = torch.from_numpy(whose).to(self._device)
            layer = torch.from_numpy(first[whose] - first[0] + depth).to(self._device)
            under = colours[n]
            over = under + mask[layer][:, None] * (palette[layer] - under)
            colours[n] = over + light[layer]
        return colours

    def _grounds(self, genes: Tensor, x: Tensor, channels: int) -> Tensor:
        angle = genes[:, 6:7] * (2 * math.pi)
        noise = self._look(0, x * 0.2 + genes[:, 7:8], self._y * 0.2 + genes[:, 8:9])
        value = _smooth_step(
            0.5 + (x * angle.cos() + self._y * angle.sin()) * 1.2 + (noise - 0.5) * genes[:, 9:10]
        )
        start, end = genes[:, :channels, None], genes[:, 3 : 3 + channels, None]
        return start + (end - start) * value[:, None]

    def _masks(
        self, kinds: NDArray[np.uint8], genes: Tensor, across: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How much of each layer each pixel shows, and what its edge takes from the light, layers x
        pixels each."""
        opacity = 1 - 0.7 * _upper(genes[:, 26:27]) ** 2
        x, y = across - (genes[:, 22:23] - 0.5), self._y - (genes[:, 23:24] - 0.5)
        angle = genes[:, 27:28] * (2 * math.pi)
        c, s = angle.cos(), angle.sin()
        u = (x * c + y * s) * torch.exp2((genes[:, 28:29] - 0.5) * 2.5)
        v = y * c - x * s
        size = 0.08 + genes[:, 24:25] * 0.5
        sharp = 1 / (0.005 + genes[:, 25:26] ** 2 * 0.3)
        inside = torch.empty_like(u)
        for kind in np.unique(kinds):
            k = self._where(kinds == kind)
            a, b, r = u[k], v[k], size[k]
            if kind == 0:
                inside[k] = 1  # overwritten below
            elif kind == 1:
                inside[k] = r - (a * a + b * b).sqrt()
            elif kind == 2:
                inside[k] = r - torch.maximum(a.abs(), b.abs())
            elif kind == 3:
                scale, seeds = 0.1 + r, genes[k]
                noise = self._look(
                    0, across[k] * scale + seeds[:, 29:30], self._y * scale + seeds[:, 30:31]
                )
                inside[k] = (noise - 0.5) * 0.3 + (seeds[:, 24:25] - 0.5) * 0.15
            elif kind == 4:
                inside[k] = a
            else:
                inside[k] = r * 0.35 - ((a * a + b * b).sqrt() - r).abs()
        shown = opacity * _smooth_step(inside * sharp + 0.5)
        shadow, outline = 0.5 * _upper(genes[:, 32:33]), 0.5 * _upper(genes[:, 33:34])
        thin = 1 / (0.015 + genes[:, 34:35] * 0.075)
        edge = shadow * _bump(inside.clamp(max=0) * 11) * (1 - shown)
        edge = edge + outline * _bump(inside * thin) * shown
        everywhere = self._where(kinds == 0, index=False)[:, None]
        return torch.where(everywhere, opacity, shown), edge.masked_fill(everywhere, 0)

    def _fields(self, kinds: NDArray[np.uint8], genes: Tensor, across: Tensor) -> Tensor:
        """The field of each layer, layers x pixels, on [0, 1]."""
        scale = torch.exp2(genes[:, :1] * 5)
        u, v = self._charts(kinds[:, 0], genes, scale, across)
        du, dv = genes[:, 7:8], genes[:, 8:9]
        field = torch.empty_like(u)
        for kind in np.unique(kinds[:, 1]):
            k = self._where(kinds[:, 1] == kind)
            a, b, of = u[k], v[k], scale[k]
            if kind < 4:
                field[k] = self._look(int(kind), a * (of / 16) + du[k], b * (of / 16) + dv[k])
                continue
            if kind == 7:
                field[k] = 1 / (1 + (a * a + b * b) * (of * of * 0.25))
                continue
            a, b = _wave(a * of + du[k]), _wave(b * of + dv[k])
            if kind == 4:
                field[k] = a
            elif kind == 5:
                field[k] = torch.minimum(a, b)
            else:
                field[k] = (1 - ((a - 1) ** 2 + (b - 1) ** 2).sqrt()).clamp_min(0)
        return field

    def _charts(
        self, kinds: NDArray[np.uint8], genes: Tensor, scale: Tensor, across: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Coordinates of the fields, layers x pixels each."""
        warp = 0.5 * _upper(genes[:, 5:6]) ** 2
        per = torch.exp2(genes[:, 6:7] * 3.5) / 16
        du, dv = genes[:, 7:8], genes[:, 8:9]
        x, y = across * per, self._y * per
        right = (self._look(0, x + du, y + dv) - 0.5) * warp
        down = (self._look(0, x + (dv + 0.37), y + (du + 0.71)) - 0.5) * warp
        a = across + right - (genes[:, 2:3] - 0.5) * 1.4
        b = self._y + down - (genes[:, 3:4] - 0.5) * 1.4
        angle = genes[:, 1:2] * (2 * math.pi)
        c, s = angle.cos(), angle.sin()
        u = (a * c + b * s) * torch.exp2((genes[:, 4:5] - 0.5) * 3)
        v = b * c - a * s
        for kind in (1, 2):
            k = self._where(kinds == kind)
            r = (u[k] ** 2 + v[k] ** 2).sqrt()
            t = torch.atan2(v[k], u[k]) / (2 * math.pi)
            if kind == 1:
                u[k], v[k] = r, t * (1 + genes[k, 31:32] * 12).floor() / scale[k]
            else:
                arms = (1 + genes[k, 4:5] * 6).floor() / scale[k]
                u[k] = r + t * arms
                v[k] = t * arms + r * (genes[k, 31:32] - 0.5) * 8 / scale[k]
        return u, v

    def _palettes(self, field: Tensor, genes: Tensor, channels: int) -> Tensor:
        """The colours of each layer, layers x channels x pixels."""
        steps = (2 + genes[:, 10:11] * 2.999).floor() - 1
        z = field * steps
        i = torch.minimum(z.floor(), steps - 1)
        sharp = 1 / (0.04 + genes[:, 9:10] * 0.96)
        z = (i + _smooth_step((z - i - 0.5) * sharp + 0.5))[:, None]
        first, second, third = (genes[:, at : at + channels, None] for at in (11, 14, 17))
        fourth = (first + third) * 0.5 - 0.15 * self._light
        return (
            first
            + (second - first) * z.clamp(0, 1)
            + (third - second) * (z - 1).clamp(0, 1)
            + (fourth - third) * (z - 2).clamp(0, 1)
        )

    def _shades(self, genes: Tensor, x: Tensor) -> Tensor:
        """What light each layer has more or less, layers x pixels."""
        strength = 0.9 * _upper(genes[:, 20:21]) ** 2
        scale = torch.exp2(genes[:, 21:22] * 4) / 16
        noise = self._look(1, x * scale + genes[:, 29:30], self._y * scale + genes[:, 30:31])
        return (noise - 0.5) * strength

    def _look(self, table: int, u: Tensor, v: Tensor) -> Tensor:
        """A table at places in units of its side, bilinear, repeated in both directions."""
        flat = self._tables[table].reshape(-1)
        u, v = u * SIDE, v * SIDE
        left, top = u.floor(), v.floor()
        a, b = u - left, v - top
        i, j = left.long() & (SIDE - 1), top.long() & (SIDE - 1)
        k, below = (i + 1) & (SIDE - 1), ((j + 1) & (SIDE - 1)) * SIDE
        above = j * SIDE
        p = torch.lerp(flat[above + i], flat[above + k], a)
        r = torch.lerp(flat[below + i], flat[below + k], a)
        return torch.lerp(p, r, b)

    def _tensor(self, values: NDArray[np.float32]) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device)

    def _where(self, which: NDArray[np.bool_], index: bool = True) -> Tensor:
        chosen = np.flatnonzero(which) if index else which
        return torch.from_numpy(chosen).to(self._device)


def _smooth_step(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _upper(genes: Tensor) -> Tensor:
    return (2 * genes - 1).clamp_min(0)


def _bump(t: Tensor) -> Tensor:
    return (1 - t * t).clamp_min(0) ** 2


def _wave(x: Tensor) -> Tensor:
    return 1 - (2 * (x - x.floor()) - 1).abs()
