"""What every encoding must hold, as one check."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evofool.randomness import Generators, Stream


def _check_contract(encoding: Any, shape: tuple[int, int, int], seed: int) -> None:
    def lineage() -> list[bytes]:
        rng = np.random.default_rng(seed)
        genomes = [encoding.sample(rng), encoding.sample(rng)]
        for generation in range(1, 6):
            before = [encoding.dump(genome) for genome in genomes]
            crossed = encoding.mate(*genomes, rng)
            children = [encoding.mutate(genome, rng, generation) for genome in crossed]
            assert [encoding.dump(genome) for genome in genomes] == before, "a parent changed"
            genomes = children
        images = encoding.render(genomes, shape[1:])
        assert images.shape == (2, *shape)
        assert images.dtype == np.uint8
        assert images.flags.c_contiguous
        np.testing.assert_array_equal(images[1:], encoding.render(genomes[1:], shape[1:]))
        assert encoding.render(genomes, (5, 7)).shape == (2, shape[0], 5, 7)
        assert encoding.render([], (5, 7)).shape == (0, shape[0], 5, 7)
        data = [encoding.dump(genome) for genome in genomes]
        loaded = [encoding.load(item) for item in data]
        assert [encoding.dump(genome) for genome in loaded] == data
        np.testing.assert_array_equal(images, encoding.render(loaded, shape[1:]))
        for genome in genomes:
            description = encoding.describe(genome)
            assert description["kind"] == encoding.name
            assert json.loads(json.dumps(description, allow_nan=False)) == description
        return data

    assert lineage() == lineage(), "the generator does not determine the genomes"
    again = type(encoding)(shape, **encoding.options)
    assert again.options == encoding.options
    assert json.loads(json.dumps(encoding.options)) == encoding.options


def _check_batches(encoding: Any, seed: int = 1, generations: int = 25, count: int = 12) -> None:
    """Whole populations come out as one genome at a time does, with numba and without."""
    from evofool.operators import streams

    genomes = [encoding.sample(rng) for rng in Generators(seed, Stream.SAMPLE, 0, range(count))]
    with pytest.MonkeyPatch.context() as patch:
        for generation in range(1, generations + 1):
            mating = Generators(seed, Stream.MATE, generation, range(count))
            mutating = Generators(seed, Stream.MUTATE, generation, range(count))
            others = genomes[::-1]
            pairs = [encoding.mate(*three) for three in zip(genomes, others, mating, strict=True)]
            parents = [pair[0] for pair in pairs]
            wanted = [
                encoding.dump(encoding.mutate(genome, rng, generation))
                for genome, rng in zip(parents, mutating, strict=True)
            ]
            for kernels in (streams.kernels, lambda: None):
                patch.setattr(streams, "kernels", kernels)
                mated = encoding.mate_many(genomes, others, mating)
                for found, pair, old in zip(
                    mated, pairs, zip(genomes, others, strict=True), strict=True
                ):
                    assert [*map(encoding.dump, found)] == [*map(encoding.dump, pair)]
                    same = [child is parent for child, parent in zip(pair, old, strict=True)]
                    assert [a is b for a, b in zip(found, old, strict=True)] == same
                bred = encoding.mutate_many(parents, mutating, generation)
                assert [encoding.dump(child) for child in bred] == wanted
                patch.undo()
            np.testing.assert_array_equal(
                encoding.render(bred, (6, 5)), encoding.render(list(bred), (6, 5))
            )
            genomes = list(bred)


def _check_damage(encoding: Any, data: bytes, damage: Any) -> None:
    """`damage` is hypothesis' data: bytes of `data` are changed, cut off or added."""
    from hypothesis import strategies as st

    changed = bytearray(data)
    for _ in range(damage.draw(st.integers(0, 3))):
        # Headers are at the start: look there more often.
        last = damage.draw(st.sampled_from([min(23, len(data) - 1), len(data) - 1]))
        changed[damage.draw(st.integers(0, last))] = damage.draw(st.integers(0, 255))
    end = damage.draw(st.one_of(st.none(), st.integers(0, len(data))))
    result = bytes(changed[:end]) + damage.draw(st.one_of(st.just(b""), st.binary(max_size=9)))
    try:
        genome = encoding.load(result)
    except ValueError:
        return
    assert encoding.dump(genome) == result, "accepted what dump cannot have written"
    encoding.render([genome], (4, 4))


@pytest.fixture(scope="session")
def check_contract() -> Callable[..., None]:
    """`_check_contract`."""
    return _check_contract


@pytest.fixture(scope="session")
def check_batches() -> Callable[..., None]:
    """`_check_batches`."""
    return _check_batches


@pytest.fixture(scope="session")
def check_damage() -> Callable[..., None]:
    """`_check_damage`."""
    return _check_damage
