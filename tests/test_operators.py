"""The vectorised operators against scalar float64 references written from the formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from evofool.operators import polynomial_mutation, sbx

GENES = arrays(np.float32, st.integers(0, 200), elements=st.floats(0, 1, width=32))
SEEDS = st.integers(0, 2**32)


def distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The two-sample Kolmogorov-Smirnov statistic, over sqrt(1/n + 1/m)."""
    points = np.concatenate([first, second])
    gap = np.searchsorted(np.sort(first), points, "right") / len(first) - np.searchsorted(
        np.sort(second), points, "right"
    ) / len(second)
    return float(np.abs(gap).max() / math.sqrt(1 / len(first) + 1 / len(second)))


KS_LIMIT = 2.0
"""Exceeded with probability 2 exp(-2 * 2^2) = 0.07 % where both samples are alike."""


def mutate_gene(gene: float, u: float, eta: float) -> float:
    power = 1 / (eta + 1)
    delta = (2 * u) ** power - 1 if u < 0.5 else 1 - (2 * (1 - u)) ** power
    return float(min(max(gene + delta, 0.0), 1.0))


@pytest.mark.parametrize("gene", [0.0, 0.02, 0.5, 0.97])
@pytest.mark.parametrize("eta", [0.0, 15.0, 50.0])
def test_mutation_has_the_distribution_of_the_formula(gene: float, eta: float) -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    found = polynomial_mutation(np.full(n, gene, np.float32), rng, 1.0, eta)
    wanted = np.array([mutate_gene(gene, u, eta) for u in rng.random(n)])
    # Clipped values are ties of both samples; equal to the last bit in float32.
    assert distance(found, wanted.astype(np.float32)) < KS_LIMIT


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.0155, 0.1, 0.5, 1.0])
def test_each_gene_mutates_with_the_rate(rate: float) -> None:
    rng = np.random.default_rng(2)
    n, repeats = 500, 400
    counts = np.zeros(n)
    for _ in range(repeats):
        counts += polynomial_mutation(np.full(n, 0.5, np.float32), rng, rate) != 0.5
    spread = math.sqrt(n * repeats * rate * (1 - rate))
    assert abs(counts.sum() - n * repeats * rate) <= 4 * spread
    # A place is as likely as any other: the counts of places vary as binomial ones do.
    wanted = repeats * rate * (1 - rate)
    assert abs(counts.var() - wanted) <= 5 * max(wanted, 0.1) * math.sqrt(2 / n) + 0.2 * rate


def test_a_large_genome_mutates_at_a_tiny_rate() -> None:
    rng = np.random.default_rng(3)
    genes = np.full(150_528, 0.5, np.float32)
    changed = sum(int((polynomial_mutation(genes, rng, 1e-6) != 0.5).sum()) for _ in range(200))
    assert 10 <= changed <= 55  # 30.1 expected


def cross_genes(a: float, b: float, u: float, eta: float) -> tuple[float, float]:
    low, high = min(a, b), max(a, b)

    def spread(room: float) -> float:
        alpha = 2 - (1 + 2 * room / (high - low)) ** -(eta + 1)
        if u <= 1 / alpha:
            return float((u * alpha) ** (1 / (eta + 1)))
        return float((1 / (2 - u * alpha)) ** (1 / (eta + 1)))

    middle, half = (low + high) / 2, (high - low) / 2
    return middle - spread(low) * half, middle + spread(1 - high) * half


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.6), (0.9, 0.01), (0.5, 0.5001), (0.0, 1.0)])
@pytest.mark.parametrize("eta", [1.0, 10.0])
def test_crossover_has_the_distribution_of_the_formula(a: float, b: float, eta: float) -> None:
    rng = np.random.default_rng(4)
    n = 20_000
    first, second = np.full(n, a, np.float32), np.full(n, b, np.float32)
    children = sbx(first, second, rng, eta)
    pairs = [cross_genes(float(first[0]), float(second[0]), u, eta) for u in rng.random(n)]
    wanted = np.array(pairs).astype(np.float32)
    assert distance(np.minimum(*children), wanted[:, 0]) < KS_LIMIT
    assert distance(np.maximum(*children), wanted[:, 1]) < KS_LIMIT
    higher = int((children[0] > children[1]).sum())
    assert abs(higher - n / 2) < 4 * math.sqrt(n) / 2  # a fair coin decides


def test_crossover_is_the_formula_gene_by_gene() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random((2, 5000), dtype=np.float32)
    children = sbx(a, b, np.random.default_rng(6))
    numbers = np.random.default_rng(6).random(len(a), dtype=np.float32)  # the first draw of sbx
    wanted = [
        cross_genes(*genes, 10.0)
        for genes in zip(a.tolist(), b.tolist(), numbers.tolist(), strict=True)
    ]
    np.testing.assert_allclose(np.sort(np.stack(children), axis=0).T, wanted, atol=3e-6)


def test_equal_genes_stay_or_are_reset() -> None:
    a = np.array([0.2, 0.7, 0.4], np.float32)
    b = np.array([0.2, 0.1, 0.4], np.float32)
    for child in sbx(a, b, np.random.default_rng(7)):
        assert child[[0, 2]].tolist() == a[[0, 2]].tolist()
    for child in sbx(a, b, np.random.default_rng(7), equal_to_half=True):
        assert child[[0, 2]].tolist() == [0.5, 0.5]
        assert child[1] != 0.5


@given(genes=GENES, seed=SEEDS, rate=st.floats(0, 1), eta=st.floats(0, 200))
def test_mutants_are_genes(genes: NDArray[np.float32], seed: int, rate: float, eta: float) -> None:
    def child() -> NDArray[np.float32]:
        return polynomial_mutation(genes, np.random.default_rng(seed), rate, eta)

    check(child, genes)


@settings(max_examples=200)
@given(data=st.data(), seed=SEEDS, eta=st.floats(0, 200), reset=st.booleans())
def test_children_are_genes(data: st.DataObject, seed: int, eta: float, reset: bool) -> None:
    first = data.draw(GENES)
    second = data.draw(arrays(np.float32, len(first), elements=st.floats(0, 1, width=32)))
    for k in (0, 1):

        def child(k: int = k) -> NDArray[np.float32]:
            return sbx(first, second, np.random.default_rng(seed), eta, reset)[k]

        check(child, first, second)


def check(child: Callable[[], NDArray[np.float32]], *parents: NDArray[np.float32]) -> None:
    """A child is new, float32 on [0, 1], the same for the same generator; parents stay."""
    before = [parent.copy() for parent in parents]
    for parent in parents:
        parent.flags.writeable = False
    genes = child()
    assert genes.dtype == np.float32
    assert genes.shape == parents[0].shape
    assert genes.flags.writeable
    assert not any(np.shares_memory(genes, parent) for parent in parents)
    assert np.all((genes >= 0) & (genes <= 1))
    assert all(np.array_equal(a, b) for a, b in zip(before, parents, strict=True))
    assert np.array_equal(genes, child())
