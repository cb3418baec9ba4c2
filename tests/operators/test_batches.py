"""Genes of many genomes vary as those of one do, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from evofool import operators
from evofool.operators import polynomial_mutation, polynomial_mutations, sbx, sbx_pairs
from evofool.operators import streams as drawing
from evofool.randomness import Generators, Stream


@pytest.fixture(params=["compiled", "one by one"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "one by one":
        monkeypatch.setattr(drawing, "kernels", lambda: None)
    elif drawing.kernels() is None:
        pytest.skip("numba is not installed")


def population(genes: int, count: int = 20) -> list[operators.Genes]:
    rng = np.random.default_rng(genes)
    genomes = [rng.random(genes, dtype=np.float32) for _ in range(count)]
    for genome in genomes[::3]:
        genome[: genes // 2] = genomes[0][: genes // 2]  # genes that are equal in both parents
    genomes[-1][:] = 1.0
    return genomes


@pytest.mark.parametrize("block", [1, 1000, 65536])
@pytest.mark.parametrize("genes", [0, 1, 7, 784])
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.1, 1.0])
def test_mutations(genes: int, rate: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "_BLOCK", block)
    genomes = population(genes)
    generators = Generators(3, Stream.MUTATE, 5, range(len(genomes)))
    before = [genome.tobytes() for genome in genomes]
    for eta in (15.0, 1.0, 0.0):
        found = polynomial_mutations(genomes, generators, rate, eta)
        wanted = [
            polynomial_mutation(genome, rng, rate, eta)
            for genome, rng in zip(genomes, generators, strict=True)
        ]
        assert [one.tobytes() for one in found] == [one.tobytes() for one in wanted]
        assert all(one.base is None or one.base.size == genes for one in found), "with siblings"
    assert [genome.tobytes() for genome in genomes] == before


@pytest.mark.parametrize("block", [1, 1000, 65536])
@pytest.mark.parametrize("genes", [0, 1, 7, 784])
@pytest.mark.parametrize("equal_to_half", [False, True])
def test_crossovers(
    genes: int, equal_to_half: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "_BLOCK", block)
    genomes = population(genes)
    pairs = list(zip(genomes, genomes[::-1], strict=True))
    generators = Generators(4, Stream.MATE, 5, range(len(pairs)))
    for share in (0.0, 0.5, 1.0):
        found = sbx_pairs(genomes, genomes[::-1], generators, share, 10.0, equal_to_half)
        for k, (pair, rng) in enumerate(zip(pairs, generators, strict=True)):
            if rng.random() >= share:
                assert k not in found
                continue
            wanted = sbx(*pair, rng, 10.0, equal_to_half)
            assert [one.tobytes() for one in found[k]] == [one.tobytes() for one in wanted]


def test_none_are_none() -> None:
    generators = Generators(1, Stream.MUTATE, 1, [])
    assert polynomial_mutations([], generators, 0.1) == []
    assert sbx_pairs([], [], generators, 0.5) == {}
