"""The layered encoding: the contract, each mutation, crossover, bytes, words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evofool import encodings
from evofool.errors import EncodingError
from evofool.render.layers import FIELDS, GENES, GROUND, MASKS, SEEDS, Stack

GREY = (1, 12, 10)
COLOUR = (3, 9, 8)
SHADE = GENES.index("shade")
RATES = ("gene_rate", "kind_rate", "seed_rate", "add_layer", "delete_layer", "swap_layers")
STILL: dict[str, Any] = dict.fromkeys((*RATES, "crossover"), 0.0)
"""Options under which nothing changes."""


def layers(shape: tuple[int, int, int] = GREY, **options: Any) -> Any:
    return encodings.load("layers", shape, options)


def sampled(encoding: Any, seed: int = 1) -> Stack:
    stack: Stack = encoding.sample(np.random.default_rng(seed))
    return stack


def rows(*stacks: Stack) -> list[bytes]:
    """All layers of some stacks, sorted."""
    return sorted(
        kinds.tobytes() + genes.tobytes()
        for stack in stacks
        for kinds, genes in zip(stack.kinds, stack.genes, strict=True)
    )


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("options", [{}, {"colour": "uniform", "fewest": 0, "most": 0, "limit": 3}])
def test_it_does_all_an_encoding_does(
    shape: tuple[int, int, int], options: dict[str, Any], check_contract: Callable[..., None]
) -> None:
    check_contract(layers(shape, **options), shape, seed=1)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.data())
def test_damaged_bytes_are_refused(damage: Any, check_damage: Callable[..., None]) -> None:
    encoding = layers(limit=4, most=4)
    check_damage(encoding, encoding.dump(sampled(encoding)), damage)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"EFC\x01" + data[4:], "version 2"),
        (lambda data: data[:3], "at least"),
        (lambda data: data + b"\0", "does not have"),
        (lambda data: data[:50] + b"\x09" + data[51:], "not one of those there are"),
        (lambda data: data[:6] + np.float32(np.nan).tobytes() + data[10:], "below 0 or above 1"),
        (lambda data: data[:6] + np.float32(1.5).tobytes() + data[10:], "below 0 or above 1"),
    ],
)
def test_what_cannot_have_been_written(change: Callable[[bytes], bytes], message: str) -> None:
    encoding = layers()
    with pytest.raises(ValueError, match=message):
        encoding.load(change(encoding.dump(sampled(encoding))))


def test_more_layers_than_the_limit_are_refused() -> None:
    many = layers(fewest=6, most=6)
    with pytest.raises(ValueError, match="more than 3"):
        layers(most=3, limit=3).load(many.dump(sampled(many)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most": 9}, "nor most above limit"),
        ({"fewest": 3, "most": 2}, "fewest: must not be above most"),
        ({"limit": 65}, "64"),
        ({"gene_rate": 1.5}, "1"),
        ({"softness": 1}, "unknown option"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        layers(**options)


def test_nothing_changes_at_rates_of_zero() -> None:
    encoding = layers(**STILL)
    first, second = sampled(encoding, 1), sampled(encoding, 2)
    rng = np.random.default_rng(0)
    assert encoding.mutate(first, rng) == first
    assert encoding.mate(first, second, rng) == (first, second)


def test_random_stacks_have_all_numbers_of_layers_and_all_kinds() -> None:
    rng = np.random.default_rng(0)
    stacks = [layers(fewest=2, most=5).sample(rng) for _ in range(300)]
    assert {len(stack) for stack in stacks} == {2, 3, 4, 5}
    kinds = np.concatenate([stack.kinds for stack in stacks])
    assert [len(np.unique(kinds[:, k])) for k in range(3)] == [3, 8, 6]
    genes = np.concatenate([stack.genes for stack in stacks])
    np.testing.assert_allclose(np.delete(genes, SHADE, 1).mean(0), 0.5, atol=0.05)


def test_how_many_are_shaded_and_covered() -> None:
    rng = np.random.default_rng(0)
    encoding = layers(covered=0.25, shaded=0.8, fewest=3, most=3)
    stacks = [encoding.sample(rng) for _ in range(600)]
    shade = np.concatenate([stack.genes[:, SHADE] for stack in stacks])
    assert (shade > 0.75).mean() == pytest.approx(0.8, abs=0.03)
    assert (shade <= 0.5).mean() == pytest.approx(0.2, abs=0.03)
    top = np.mean([stack.kinds[-1, 2] == 0 for stack in stacks])
    assert top == pytest.approx(0.25 + 0.75 / 6, abs=0.06)
    below = np.mean([stack.kinds[:-1, 2] == 0 for stack in stacks])
    assert below == pytest.approx(1 / 6, abs=0.04)
    assert not len(layers(fewest=0, most=0).sample(rng))


def test_genes_move_a_little_and_seeds_anywhere() -> None:
    rng = np.random.default_rng(0)
    gentle = layers(**{**STILL, "gene_rate": 1.0, "gene_eta": 200.0})
    stack = sampled(gentle)
    moved = np.abs(gentle.mutate(stack, rng).genes - stack.genes)
    assert 0 < moved.max() < 0.1
    seeds = layers(**{**STILL, "seed_rate": 0.5})
    changes = np.stack([seeds.mutate(stack, rng).genes != stack.genes for _ in range(400)])
    share = changes.mean((0, 1))
    np.testing.assert_allclose(share[list(SEEDS)], 0.5, atol=0.1)
    assert np.delete(share, SEEDS).max() == 0
    drawn = np.concatenate([seeds.mutate(stack, rng).genes[:, SEEDS[0]] for _ in range(400)])
    assert np.histogram(drawn, 4, (0, 1))[0].min() > 0.1 * len(drawn)


def test_kinds_are_drawn_anew_among_all() -> None:
    encoding = layers(**{**STILL, "kind_rate": 1.0})
    stack = sampled(encoding)
    rng = np.random.default_rng(0)
    kinds = np.concatenate([encoding.mutate(stack, rng).kinds for _ in range(300)])
    for k, count in enumerate((3, 8, 6)):
        np.testing.assert_allclose(np.bincount(kinds[:, k]) / len(kinds), 1 / count, atol=0.06)


def test_layers_are_added_deleted_and_swapped() -> None:
    rng = np.random.default_rng(0)
    start = sampled(layers(fewest=4, most=4))
    more = layers(**{**STILL, "add_layer": 1.0}).mutate(start, rng)
    assert len(more) == 5
    assert set(rows(start)) < set(rows(more))
    fewer = layers(**{**STILL, "delete_layer": 1.0}).mutate(start, rng)
    assert len(fewer) == 3
    assert set(rows(fewer)) < set(rows(start))
    swap = layers(**{**STILL, "swap_layers": 1.0})
    orders = {swap.mutate(start, rng).genes.tobytes() for _ in range(60)}
    assert len(orders) == 7  # itself and every pair swapped
    assert all(rows(swap.mutate(start, rng)) == rows(start) for _ in range(10))


def test_the_last_layer_stays_and_the_limit_holds() -> None:
    rng = np.random.default_rng(0)
    shrinking = layers(**{**STILL, "delete_layer": 1.0})
    growing = layers(**{**STILL, "add_layer": 1.0, "limit": 6})
    low = high = sampled(shrinking)
    for _ in range(12):
        low, high = shrinking.mutate(low, rng), growing.mutate(high, rng)
    assert len(low) == 1
    assert len(high) == 6


def test_a_crossed_pair_has_the_layers_of_its_parents() -> None:
    encoding = layers(crossover=1.0, limit=20)
    first, second = sampled(encoding, 1), sampled(encoding, 4)
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, two = encoding.mate(first, second, rng)
        assert rows(one, two) == rows(first, second)
        np.testing.assert_array_equal(one.ground, first.ground)
        np.testing.assert_array_equal(two.ground, second.ground)
        kept = len(one) + len(two)
        assert kept == len(first) + len(second)
    tight = layers(crossover=1.0)
    full = sampled(layers(fewest=8, most=8))
    assert max(len(s) for _ in range(30) for s in tight.mate(full, full, rng)) == 8


def test_words() -> None:
    encoding = layers()
    told = encoding.describe(sampled(encoding))
    assert told["kind"] == "layers"
    first = told["layers"][0]
    assert first["words"].startswith(first["field"])
    assert "colours" in first["words"]
    assert set(first["genes"]) == set(GENES)


def test_words_say_what_is_seen() -> None:
    genes = np.zeros((1, len(GENES)), np.float32)
    genes[0, [GENES.index(name) for name in ("warp", "fold", "shadow", "outline")]] = 1.0
    ground = np.zeros(len(GROUND), np.float32)
    for mask, words in (
        ("disc", "in a disc with a shadow and an outline"),
        ("none", "everywhere"),
    ):
        kinds = np.array([[1, FIELDS.index("stripes"), MASKS.index(mask)]], np.uint8)
        (told,) = layers().describe(Stack(ground, kinds, genes))["layers"]
        assert told["words"] == f"stripes around a point, warped, mirrored, in two colours, {words}"
