"""The direct encoding: presets, annealing, pixels, bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evofool import encodings
from evofool.encodings import VectorEncoding
from evofool.errors import EncodingError
from evofool.validation import key_path

GREY = (1, 12, 10)
COLOUR = (3, 6, 8)


def direct(shape: tuple[int, int, int] = GREY, **options: Any) -> Any:
    return encodings.load("direct", shape, options)


@pytest.mark.parametrize("shape", [GREY, COLOUR, (4, 2, 2)])
@pytest.mark.parametrize(
    "options", [{}, {"preset": "paper"}, {"preset": "released"}, {"resolution": [3, 4]}]
)
def test_it_does_all_an_encoding_does(
    shape: tuple[int, int, int], options: dict[str, Any], check_contract: Callable[..., None]
) -> None:
    check_contract(direct(shape, **options), shape, seed=1)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 6, 5)])
@pytest.mark.parametrize(
    "options",
    [{"preset": preset} for preset in ("paper", "released", "evofool")]
    + [{"crossover": 1.0, "halve_every": 2}],
    ids=["paper", "released", "evofool", "annealing"],
)
def test_many_vary_as_one_does(
    shape: tuple[int, int, int], options: dict[str, Any], check_batches: Callable[..., None]
) -> None:
    check_batches(direct(shape, **options))


def test_presets_are_defaults() -> None:
    paper, released, ours = (
        direct(preset=name).options for name in ("paper", "released", "evofool")
    )
    assert (paper["rate"], paper["eta"], paper["halve_every"]) == (0.1, 15.0, 1000)
    assert (paper["crossover"], paper["reset_equal"]) == (0.0, False)
    assert (released["rate"], released["halve_every"], released["reset_equal"]) == (0.1, None, True)
    assert (released["crossover"], released["sbx_eta"]) == (0.5, 10.0)
    assert ours["reset_equal"] is False
    assert direct().options == ours
    mixed = direct(preset="released", crossover=0.25).options
    assert (mixed["crossover"], mixed["reset_equal"]) == (0.25, True)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"preset": "papers"}, "preset"),
        ({"preset": ["paper"]}, "preset"),
        ({"rate": 1.5}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": "0.1"}, "rate"),
        ({"eta": -1}, "eta"),
        ({"halve_every": 0}, "halve_every"),
        ({"crossover": -0.1}, "crossover"),
        ({"sbx_eta": True}, "sbx_eta"),
        ({"resolution": [3]}, "resolution"),
        ({"resolution": [3, 0]}, "resolution"),
        ({"resolution": [3, 10**9]}, "resolution"),
        ({"resolution": "3x4"}, "resolution"),
        ({"colour": "hls"}, "colour"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], key: str) -> None:
    with pytest.raises(EncodingError) as caught:
        direct(**options)
    assert caught.value.option is not None
    assert key_path(caught.value.option)[0] == key


def test_the_rate_halves_after_every_so_many_generations() -> None:
    encoding = direct((1, 200, 200), rate=0.4, halve_every=10)
    genome = encoding.sample(np.random.default_rng(1))
    for generation, rate in [(0, 0.4), (1, 0.4), (10, 0.4), (11, 0.2), (21, 0.1), (61, 0.4 / 64)]:
        child = encoding.mutate(genome, np.random.default_rng(2), generation)
        assert np.mean(child != genome) == pytest.approx(rate, rel=0.2)
    constant = direct((1, 200, 200), rate=0.4, halve_every=None)
    child = constant.mutate(genome, np.random.default_rng(2), 10_000)
    assert np.mean(child != genome) == pytest.approx(0.4, rel=0.05)
    encoding.mutate(genome, np.random.default_rng(2), 10**9)  # a rate of zero, and no overflow


def test_a_share_of_the_pairs_crosses_over() -> None:
    encoding = direct(crossover=0.5)
    rng = np.random.default_rng(3)
    pair = encoding.sample(rng), encoding.sample(rng)
    crossed = [encoding.mate(*pair, rng) for _ in range(400)]
    share = np.mean([children[0] is not pair[0] for children in crossed])
    assert 0.4 < share < 0.6
    never = direct(crossover=0.0).mate(*pair, rng)
    assert never[0] is pair[0]
    assert never[1] is pair[1]


def test_the_released_code_resets_equal_genes() -> None:
    rng = np.random.default_rng(4)
    genome = direct().sample(rng)
    reset = direct(preset="released", crossover=1.0).mate(genome, genome, rng)
    assert all(np.all(child == 0.5) for child in reset)
    kept = direct(crossover=1.0).mate(genome, genome, rng)
    assert all(np.array_equal(child, genome) for child in kept)


def test_a_level_is_255_times_the_gene_truncated() -> None:
    encoding = direct((1, 1, 5))
    genome = np.array([[[0.0, 0.5, 0.9999999, 1.0, 1 / 255]]], np.float32)
    assert encoding.render([genome], (1, 5)).ravel().tolist() == [0, 127, 254, 255, 1]


def test_other_sizes_take_the_nearest_gene() -> None:
    encoding = direct((1, 2, 3))
    genome = encoding.sample(np.random.default_rng(5))
    native = encoding.render([genome], (2, 3))[0, 0]
    doubled = encoding.render([genome], (4, 6))[0, 0]
    np.testing.assert_array_equal(doubled, native.repeat(2, axis=0).repeat(2, axis=1))
    np.testing.assert_array_equal(encoding.render([genome], (1, 1))[0, 0], native[1:2, 1:2])
    np.testing.assert_array_equal(encoding.render([genome], (2, 9))[0, 0], native.repeat(3, axis=1))


def test_a_coarse_genome_is_enlarged() -> None:
    encoding = direct((3, 8, 8), resolution=(2, 4))
    genome = encoding.sample(np.random.default_rng(6))
    assert genome.shape == (3, 2, 4)
    levels = (genome * np.float32(255)).astype(np.uint8)
    wanted = levels.repeat(4, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(encoding.render([genome], (8, 8))[0], wanted)
    assert encoding.options["resolution"] == [2, 4]


def test_genomes_are_points_of_a_box() -> None:
    encoding = direct(COLOUR)
    assert isinstance(direct(COLOUR), VectorEncoding)
    genome = encoding.sample(np.random.default_rng(7))
    vector = encoding.to_vector(genome)
    assert vector.dtype == np.float64
    np.testing.assert_array_equal(encoding.from_vector(vector), genome)
    clipped = encoding.from_vector(vector * 4 - 2)
    assert clipped.min() == 0
    assert clipped.max() == 1
    for wrong in (vector[:-1], vector * np.nan, vector[None]):
        with pytest.raises(ValueError, match="numbers"):
            encoding.from_vector(wrong)


def test_genomes_are_read_only() -> None:
    encoding = direct()
    rng = np.random.default_rng(8)
    genome = encoding.sample(rng)
    children = encoding.mate(genome, encoding.mutate(genome, rng, 1), rng)
    for some in (genome, *children, encoding.load(encoding.dump(genome))):
        with pytest.raises(ValueError, match="read-only"):
            some[0, 0, 0] = 0


def test_equal_genomes_are_equal_bytes() -> None:
    encoding = direct((1, 1, 2))
    negative = np.array([[[-0.0, 1.0]]], np.float32)
    data = encoding.dump(negative)
    assert data == encoding.dump(np.abs(negative))
    assert data == b"EFD\x01" + b"\1\0\0\0\1\0\0\0\2\0\0\0" + b"\0\0\0\0\0\0\x80\x3f"
    assert encoding.load(data)[0, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.0000001, -1e-45, -0.0, -1.0])
def test_genes_off_the_range_are_refused(value: float) -> None:
    encoding = direct((1, 1, 2))
    data = encoding.dump(encoding.sample(np.random.default_rng(9)))[:-4]
    with pytest.raises(ValueError, match="gene"):
        encoding.load(data + np.float32(value).astype("<f4").tobytes())


def test_genomes_of_other_encodings_are_refused() -> None:
    rng = np.random.default_rng(10)
    encoding = direct((1, 2, 6))
    for shape in ((1, 6, 2), (3, 2, 2), (1, 2, 5)):
        other = direct(shape)
        with pytest.raises(ValueError, match="shape"):
            encoding.load(other.dump(other.sample(rng)))
    cppn = encodings.load("cppn", (1, 2, 6))
    with pytest.raises(ValueError, match="version"):
        encoding.load(cppn.dump(cppn.sample(rng)))


@given(damage=st.data(), seed=st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_refused_or_a_genome(
    damage: st.DataObject, seed: int, check_damage: Callable[..., None]
) -> None:
    encoding = direct((1, 3, 4))
    check_damage(encoding, encoding.dump(encoding.sample(np.random.default_rng(seed))), damage)
