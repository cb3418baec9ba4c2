"""The operators on tensors: Philox against its published vectors, the rest against formulas in
float64 over the same words, and exact whatever the batch.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evofool import operators
from evofool.operators.tensors import philox, polynomial_mutation, power, sbx, uniform


def _philox_scalar(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 as its paper writes it, a word at a time."""
    mask = 2**32 - 1
    for _ in range(10):
        x, y = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (y >> 32) ^ counter[1] ^ key[0], y & mask, (x >> 32) ^ counter[3] ^ key[1], x & mask,
        ]  # fmt: skip
        key = [(key[0] + 0x9E3779B9) & mask, (key[1] + 0xBB67AE85) & mask]
    return counter


def _keys(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 2**32, (n, 2)))


def test_the_reference_is_philox() -> None:
    """Known answers of the authors' Random123."""
    ones = 2**32 - 1
    assert _philox_scalar([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert _philox_scalar([ones] * 4, [ones] * 2) == [
        0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD,
    ]  # fmt: skip
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]
    assert _philox_scalar(*pi) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@pytest.mark.parametrize("count", [0, 1, 4, 11])
def test_words_are_those_of_philox(count: int) -> None:
    keys = torch.cat([_keys(3), torch.tensor([[0, 0], [2**32 - 1, 2**32 - 1]])])
    found = philox(keys, count)
    assert found.shape == (5, count)
    for key, row in zip(keys.tolist(), found.tolist(), strict=True):
        words = [w for j in range(3) for w in _philox_scalar([j, 0, 0, 0], list(key))]
        assert row == words[:count]


def test_uniform_numbers() -> None:
    found = uniform(_keys(2), 50_000)
    assert found.dtype == torch.float32
    assert 0 <= found.min() < 1e-3 < 0.999 < found.max() < 1
    assert abs(float(found.mean()) - 0.5) < 5e-3
    assert torch.equal(found * 2**24, (found * 2**24).round())


@pytest.mark.parametrize("exponent", [1 / 16, 1 / 11, 1.0, -0.5, -11.0])
def test_powers(exponent: float) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([np.exp2(rng.uniform(-25, 25, 20_000)), [1.0, 2.0, 0.5, 1 - 2**-24]])
    x = x.astype(np.float32)
    with np.errstate(over="ignore"):
        wanted = x.astype(np.float64) ** exponent
    inside = (wanted > 1e-30) & (wanted < 1e30)
    found = power(torch.from_numpy(x), exponent).numpy()
    assert np.abs(found / wanted - 1)[inside].max() < (3e-7 if abs(exponent) <= 1 else 3e-6)
    assert np.isfinite(found).all()


def _mutated(
    genes: NDArray[np.float32], words: NDArray[np.int64], rate: float, eta: float
) -> NDArray[np.float64]:
    below = int(rate * 2**32)
    changed = genes.astype(np.float64)
    for i in np.flatnonzero(words < below):
        u = (words[i] + 0.5) / below
        shift = (2 * u) ** (1 / (eta + 1)) - 1 if u < 0.5 else 1 - (2 * (1 - u)) ** (1 / (eta + 1))
        changed[i] = min(max(changed[i] + shift, 0.0), 1.0)
    return changed


@pytest.mark.parametrize("rate", [0.0, 1e-4, 0.1, 1.0])
@pytest.mark.parametrize("eta", [0.0, 15.0, 400.0])
def test_mutation_is_its_formula(rate: float, eta: float) -> None:
    genes = np.random.default_rng(2).random((3, 4001), dtype=np.float32)
    genes[:, :2] = 0, 1
    keys = _keys(3)
    rates = torch.full((3,), rate, dtype=torch.float64)
    found = polynomial_mutation(torch.from_numpy(genes), keys, rates, eta).numpy()
    for row in range(3):
        words = philox(keys, 4001)[row].numpy()
        wanted = _mutated(genes[row], words, rate, eta)
        # next to the ends of u a float32 holds few digits of what is left of 1
        gap = np.abs(found[row] - wanted)
        assert np.quantile(gap, 0.99) < 1e-5
        assert gap.max() < 2e-2
        same = words >= int(rate * 2**32)
        assert np.array_equal(found[row][same], genes[row][same])
    share = float((found != genes).mean())
    assert share == pytest.approx(rate, abs=0.02)
    assert 0 <= found.min() <= found.max() <= 1


def _distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The two-sample Kolmogorov-Smirnov statistic over sqrt(1/n + 1/m)."""
    points = np.concatenate([first, second])
    gap = np.searchsorted(np.sort(first), points, "right") / len(first)
    gap = gap - np.searchsorted(np.sort(second), points, "right") / len(second)
    return float(np.abs(gap).max() / math.sqrt(1 / len(first) + 1 / len(second)))


def test_steps_are_distributed_as_those_of_numpy() -> None:
    n = 40_000
    genes = np.full(n, 0.3, np.float32)
    rng = np.random.default_rng(3)
    wanted = operators.polynomial_mutation(genes, rng, 1.0, 15.0)
    rates = torch.ones(1, dtype=torch.float64)
    found = polynomial_mutation(torch.from_numpy(genes)[None], _keys(1), rates, 15.0)[0].numpy()
    assert _distance(found, wanted) < 2
    other = np.full(n, 0.6, np.float32)
    for ours, theirs in zip(
        sbx(torch.from_numpy(genes)[None], torch.from_numpy(other)[None], _keys(1), 10.0, False),
        operators.sbx(genes, other, rng, 10.0),
        strict=True,
    ):
        assert _distance(ours[0].numpy(), theirs) < 2


@pytest.mark.parametrize("eta", [0.0, 2.0, 10.0, 1e4])
def test_crossover_is_its_formula(eta: float) -> None:
    rng = np.random.default_rng(4)
    first, second = rng.random((2, 2, 5000), dtype=np.float32)
    first[:, :4], second[:, :4] = [0, 1, 0.5, 0.25], [1, 0, 0.5, 0.25]
    keys = _keys(2)
    children = sbx(torch.from_numpy(first), torch.from_numpy(second), keys, eta, False)
    words = philox(keys, 5000).numpy()
    u = ((words >> 9) + 0.5) / 2**23
    low, high = np.minimum(first, second).astype(float), np.maximum(first, second).astype(float)
    gap = np.where(high > low, high - low, 1.0)

    def spread(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        alpha = 2 - (1 + 2 * distance / gap) ** -(eta + 1)
        scaled = u * alpha
        base = np.where(scaled <= 1, scaled, 1 / np.maximum(2 - scaled, 1e-12))
        result: NDArray[np.float64] = base ** (1 / (eta + 1))
        return result

    lower = (low + high) / 2 - spread(low) * gap / 2
    upper = (low + high) / 2 + spread(1 - high) * gap / 2
    swap = (words & 1).astype(bool)
    for found, (take, leave, parent) in zip(
        children, ((lower, upper, first), (upper, lower, second)), strict=True
    ):
        wanted = np.clip(np.where(swap, leave, take), 0, 1)
        wanted = np.where(high > low, wanted, parent)
        assert np.abs(found.numpy() - wanted).max() < 2e-4
    halves = sbx(torch.from_numpy(first), torch.from_numpy(second), keys, eta, True)
    assert (halves[0][:, 2:4] == 0.5).all()
    assert torch.equal(children[0][:, 2:4], torch.tensor([[0.5, 0.25]] * 2))


def test_the_batch_changes_no_bit() -> None:
    """Vectorised loops end in scalar ones, and those of other libraries round differently."""
    genes = torch.from_numpy(np.random.default_rng(5).random((7, 1003), dtype=np.float32))
    keys = _keys(7)
    rates = torch.linspace(0.01, 1.0, 7, dtype=torch.float64)
    mutated = polynomial_mutation(genes, keys, rates, 15.0)
    crossed = sbx(genes, genes.flip(0), keys, 10.0, False)
    for i in range(7):
        row = slice(i, i + 1)
        one = polynomial_mutation(genes[row], keys[row], rates[row], 15.0)
        assert torch.equal(one, mutated[row])
        pair = sbx(genes[row], genes.flip(0)[row], keys[row], 10.0, False)
        assert all(torch.equal(one, all_[row]) for one, all_ in zip(pair, crossed, strict=True))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_genes_are_these_on_every_device(device: str) -> None:
    """A digest of a chain of operations, none of which a library may round as it likes."""
    keys = torch.tensor([[1, 2], [3, 4]], device=device)
    genes = uniform(keys, 777)
    for step in range(5):
        moved = (keys + step + 1) & 0xFFFFFFFF
        rates = torch.full((2,), 0.3, dtype=torch.float64, device=device)
        genes = polynomial_mutation(genes, moved, rates, 15.0)
        one, two = sbx(genes[:1], genes[1:], moved[:1], 10.0, False)
        genes = torch.cat([one, two])
    digest = hashlib.sha256(genes.cpu().numpy().tobytes()).hexdigest()
    assert digest == "d24f21bad444ab43cd0f815d13f587d8c6e0505f8b10951ce7dd129f6298e223"
