"""Textured CPPNs: the contract, what is refused, and that the texture is what the bias was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from evofool.encodings.textured import USED, Textured
from hypothesis import given
from hypothesis import strategies as st

from evofool import encodings
from evofool.errors import EncodingError
from evofool.render import INPUTS, WEIGHT_LIMIT, Graph
from evofool.render.layers import FIELDS, GENES, render_fields
from evofool.testing import check_encoding

GREY, COLOUR = (1, 8, 9), (3, 16, 12)
ALL: dict[str, Any] = {
    "fields": list(FIELDS),
    "charts": ["plane", "polar", "spiral"],
    "colour": "hls",
    "gene_rate": 0.5,
}


def textured(shape: tuple[int, int, int] = GREY, **options: Any) -> Any:
    return encodings.load("textured", shape, options)


def only_bias(encoding: Any, seed: int) -> Textured:
    """A grey genome whose output is the texture itself: linear, with a weight of 3."""
    genome: Textured = encodings.load("textured", GREY, encoding.options).sample(
        np.random.default_rng(seed)
    )
    gene = np.float32((3 + WEIGHT_LIMIT) / (2 * WEIGHT_LIMIT))
    graph = Graph(
        1,
        np.array([3], np.uint8),
        np.array([INPUTS.index("bias")], np.int16),
        np.array([len(INPUTS)], np.int16),
        np.array([gene], np.float32),
    )
    return Textured(graph, genome.kinds, genome.genes)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("options", [{}, ALL])
def test_it_does_all_an_encoding_does(
    shape: tuple[int, int, int], options: dict[str, Any], check_contract: Callable[..., None]
) -> None:
    check_contract(textured(shape, **options), shape, seed=1)
    check_encoding("textured", shape, options)


@given(damage=st.data())
def test_damaged_bytes_are_refused(damage: Any, check_damage: Callable[..., None]) -> None:
    encoding = textured()
    check_damage(encoding, encoding.dump(encoding.sample(np.random.default_rng(3))), damage)


def test_what_cannot_have_been_written() -> None:
    encoding = textured()
    data = encoding.dump(encoding.sample(np.random.default_rng(1)))
    for wrong, message in (
        (data[:20], "at least 46 bytes, not 20"),
        (b"EFT\x02" + data[4:], "not a textured genome of version 1"),
        (data[:4] + b"\x01" + data[5:], "none of those that the options name"),
        (data[:6] + b"\x00\x00\xc0\x7f" + data[10:], "below 0 or above 1"),
        (data + b"\x00", "does not have"),
    ):
        with pytest.raises(ValueError, match=message):
            encoding.load(wrong)


def test_wrong_options() -> None:
    with pytest.raises(EncodingError, match="smooth noise"):
        textured(fields=["plasma"])
    with pytest.raises(EncodingError, match="at least 1 item"):
        textured(charts=[])
    with pytest.raises(EncodingError, match="unknown option"):
        textured(weight_rates=0.1)


@pytest.mark.parametrize("size", [(8, 9), (31, 40)])
def test_the_bias_input_is_the_texture(size: tuple[int, int]) -> None:
    """A graph of nothing but its bias connection shows the field, which the linear activation,
    clip(3 f, -3, 3) / 3, leaves as it is."""
    encoding = textured(**{**ALL, "colour": "natural"})
    for seed in range(12):
        genome = only_bias(encoding, seed)
        genes = np.zeros((1, len(GENES)), np.float32)
        genes[:, USED] = genome.genes
        field = render_fields(np.array([genome.kinds]), genes, size)[0]
        drawn = encoding.render([genome], size)[0, 0]
        assert np.abs(drawn - 255 * field).max() < 1.01
        assert field.min() >= 0
        assert field.max() <= 1


def test_many_are_drawn_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = textured(COLOUR, **ALL)
    rng = np.random.default_rng(2)
    genomes = [encoding.sample(rng) for _ in range(7)]
    wanted = np.concatenate([encoding.render([genome], (16, 12)) for genome in genomes])
    monkeypatch.setattr("evofool.encodings.textured.FLOATS_AT_ONCE", 3 * 16 * 12)
    np.testing.assert_array_equal(encoding.render(genomes, (16, 12)), wanted)
    np.testing.assert_array_equal(encoding.render_tensor(genomes, (16, 12), "cpu"), wanted)


def test_drawn_by_pytorch_it_is_the_same() -> None:
    """On a device without a kernel of its own: of one that is not there only the shape is seen."""
    encoding = textured(COLOUR)
    genome = encoding.sample(np.random.default_rng(1))
    assert encoding.renderer("cpu") == "host"
    assert encoding.render_tensor([genome], (5, 4), "meta").shape == (1, 3, 5, 4)


def test_textures_change_with_the_graph() -> None:
    encoding = textured(**{**ALL, "kind_rate": 1.0, "gene_rate": 0.0, "seed_rate": 0.0})
    rng = np.random.default_rng(4)
    genome = encoding.sample(rng)
    children = [encoding.mutate(genome, rng) for _ in range(60)]
    assert {int(child.kinds[1]) for child in children} == set(range(len(FIELDS)))
    assert all((child.genes == genome.genes).all() for child in children)
    seeds = textured(seed_rate=1.0, gene_rate=0.0)
    child = seeds.mutate(genome, rng)
    changed = {GENES[USED[k]] for k in np.flatnonzero(child.genes != genome.genes)}
    assert changed == {"seed u", "seed v"}
    still = textured(gene_rate=0.0, seed_rate=0.0, kind_rate=0.0)
    assert (still.mutate(genome, rng).genes == genome.genes).all()


def test_the_texture_is_described() -> None:
    encoding = textured(charts=["polar"])
    described = encoding.describe(encoding.sample(np.random.default_rng(1)))
    assert described["texture"]["words"].startswith("fractal noise around a point")
    assert described["nodes"][INPUTS.index("bias")]["name"] == described["texture"]["words"]
    assert {"hidden", "connections", "edges"} <= set(described)
