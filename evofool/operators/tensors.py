"""The operators of `evofool.operators` on tensors of many genomes at once, for genes on a device.

Every step is an integer operation, a look-up or a float operation that IEEE 754 rounds (one a
kernel, so that nothing fuses them): the genes are the same to the last bit on every device and
whatever else is in the batch. Powers, which no two libraries round alike, are looked up.

Randomness is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
keyed by two words a genome; word i is of gene i. Numbers are not those of `evofool.operators`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLY = (0xD2511F53, 0xCD9E8D57)
_RAISE = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_STEPS = 12
"""Bits of a significand that a power is tabulated by; the other 11 interpolate."""
_LOWEST, _HIGHEST = -126, 127


def philox(keys: Tensor, count: int) -> Tensor:
    """N x count random words, int64 on [0, 2^32), of `keys`, which are N x 2 such words.

    Words 4 j to 4 j + 3 are those of the counter (j, 0, 0, 0).
    """
    blocks = -(-count // 4)
    a = torch.arange(blocks, dtype=torch.int64, device=keys.device).expand(len(keys), blocks)
    b = c = d = torch.zeros_like(a)
    first, second = keys[:, 0:1], keys[:, 1:2]
    for _ in range(_ROUNDS):
        # products of 64 bits: int64 wraps round, and the shift's copies of the sign are cut off
        x, y = a * _MULTIPLY[0], c * _MULTIPLY[1]
        a, b, c, d = (
            ((y >> 32) & _MASK) ^ b ^ first,
            y & _MASK,
            ((x >> 32) & _MASK) ^ d ^ second,
            x & _MASK,
        )
        first, second = (first + _RAISE[0]) & _MASK, (second + _RAISE[1]) & _MASK
    return torch.stack((a, b, c, d), dim=-1).flatten(1)[:, :count]


def uniform(keys: Tensor, count: int) -> Tensor:
    """N x count random numbers of `keys` (int64 N x 2, see `philox`).

    They are float32, uniform over the multiples of 2^-24 on [0, 1).
    """
    return (philox(keys, count) >> 8).float().mul_(2.0**-24)


def polynomial_mutation(genes: Tensor, keys: Tensor, rates: Tensor, eta: float) -> Tensor:
    """Polynomial mutation as `evofool.operators.polynomial_mutation`, of N genomes at once.

    A gene changes if its word is below rate 2^32; by how much follows from u = word / (rate 2^32).

    Args:
        genes: N x n float32 on [0, 1].
        keys: N x 2 int64, see `philox`.
        rates: (N,) float64 on [0, 1].
        eta: distribution index.

    Returns:
        N x n float32 on [0, 1], one child a row.
    """
    words = philox(keys, genes.shape[1])
    below = (rates * 2.0**32).long()[:, None]
    u = (words.float() + 0.5) / below.float()
    side = u + u - 1.0
    left = (1.0 - side.abs()).clamp_(min=2.0**-25)
    delta = torch.copysign(1.0 - power(left, 1.0 / (eta + 1.0)), side)
    return torch.where(words < below, (genes + delta).clamp_(0.0, 1.0), genes)


def sbx(
    first: Tensor, second: Tensor, keys: Tensor, eta: float, equal_to_half: bool
) -> tuple[Tensor, Tensor]:
    """Simulated binary crossover as `evofool.operators.sbx`, of N pairs at once.

    The upper 23 bits of a word are u, the lowest decides which child gets the lower gene.

    Args:
        first: N x n float32 on [0, 1], one parent of each pair.
        second: N x n float32 on [0, 1], the other.
        keys: N x 2 int64, see `philox`.
        eta: distribution index.
        equal_to_half: sets genes that are equal in both parents to 1/2.

    Returns:
        The two children of each pair, each N x n float32 on [0, 1].
    """
    words = philox(keys, first.shape[1])
    u = ((words >> 9).float() + 0.5).mul_(2.0**-23)
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    gap = high - low
    equal = gap <= torch.finfo(torch.float32).eps
    half = torch.where(equal, 1.0, gap) * 0.5
    middle = (low + high) * 0.5
    lower = middle - half * _spread(u, low / half, eta + 1.0)
    upper = middle + half * _spread(u, (1.0 - high) / half, eta + 1.0)
    swap = (words & 1).bool()
    children = []
    for genes, parent in (
        (torch.where(swap, upper, lower), first),
        (torch.where(swap, lower, upper), second),
    ):
        same = torch.full_like(parent, 0.5) if equal_to_half else parent
        children.append(torch.where(equal, same, genes.clamp(0.0, 1.0)))
    return children[0], children[1]


def _spread(u: Tensor, distance: Tensor, index: float) -> Tensor:
    alpha = 2.0 - power(1.0 + distance, -index)
    scaled = u * alpha
    base = torch.where(scaled <= 1.0, scaled, 1.0 / (2.0 - scaled))
    return power(base, 1.0 / index)


def power(x: Tensor, exponent: float) -> Tensor:
    """x ** exponent of normal positive float32 numbers `x` of any shape, in the same shape.

    The relative error is 2e-7 for exponents on [-1, 1]. x is 2^e (1 + m): the power of 2^e is
    looked up, that of 1 + m interpolated. Beyond [-1, 1] the error grows as the square of the
    exponent, to 1e-6 at 11; what overflows is the largest float.
    """
    values, slopes, scales = _tables(exponent, x.device)
    bits = x.contiguous().view(torch.int32).view(-1)
    place = (bits >> (23 - _STEPS)) & ((1 << _STEPS) - 1)
    rest = (bits & ((1 << (23 - _STEPS)) - 1)).float().mul_(2.0 ** (_STEPS - 23))
    powers = slopes.index_select(0, place).mul_(rest).add_(values.index_select(0, place))
    scale = scales.index_select(0, ((bits >> 23) - 127 - _LOWEST).clamp_(0, len(scales) - 1))
    return powers.mul_(scale).view(x.shape)


@lru_cache(maxsize=16)
def _tables(exponent: float, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of 1 + m: powers and their differences; of 2^e, from the smallest normal exponent on."""
    largest = float(np.finfo(np.float32).max)
    with np.errstate(over="ignore", under="ignore"):
        powers = np.linspace(1.0, 2.0, (1 << _STEPS) + 1) ** exponent
        scales = np.exp2(np.arange(_LOWEST, _HIGHEST + 1) * exponent)
    tables = (powers[:-1], np.diff(powers), scales)
    first, second, third = (
        torch.from_numpy(np.minimum(table, largest).astype(np.float32)).to(device)
        for table in tables
    )
    return first, second, third
