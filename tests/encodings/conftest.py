"""What every encoding must hold, as one check."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


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
def check_damage() -> Callable[..., None]:
    """`_check_damage`."""
    return _check_damage
