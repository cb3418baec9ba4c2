"""The CPPN encoding: structure of graphs, each mutation, bytes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evofool import encodings
from evofool.errors import EncodingError
from evofool.render import ACTIVATIONS, Graph, compile_tapes, render_cppn_tensor
from evofool.validation import key_path

GREY = (1, 12, 10)
COLOUR = (3, 9, 8)
STILL: dict[str, Any] = {
    "weight_rate": 0.0,
    "activation_rate": 0.0,
    "add_connection": 0.0,
    "delete_connection": 0.0,
    "split_connection": 0.0,
    "delete_node": 0.0,
}
"""Options under which nothing mutates."""


def cppn(shape: tuple[int, int, int] = GREY, **options: Any) -> Any:
    return encodings.load("cppn", shape, options)


def evolved(encoding: Any, steps: int, seed: int = 1) -> Graph:
    rng = np.random.default_rng(seed)
    graph: Graph = encoding.sample(rng)
    for generation in range(1, steps + 1):
        graph = encoding.mutate(graph, rng, generation)
    return graph


def edges(graph: Graph) -> dict[tuple[int, int], float]:
    pairs = zip(graph.sources.tolist(), graph.targets.tolist(), strict=True)
    return dict(zip(pairs, graph.genes.tolist(), strict=True))


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize(
    "options",
    [{}, {"preset": "paper"}, {"preset": "released"}, {"colour": "rgb", "activations": ["tanh5"]}],
)
def test_it_does_all_an_encoding_does(
    shape: tuple[int, int, int], options: dict[str, Any], check_contract: Callable[..., None]
) -> None:
    check_contract(cppn(shape, **options), shape, seed=1)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_hidden": 3, "add_connection": 1.0},
        {"activations": ["tanh5"], "activation_rate": 0.6, "delete_node": 0.9},
        {"delete_connection": 1.0, "split_connection": 0.2},
        {"add_connection": 1.0, "delete_connection": 0.0, "delete_node": 0.02},
        {"weight_rate": 0.001},
        STILL,
    ],
    ids=["default", "few", "shrinking", "bare", "dense", "sparse", "still"],
)
def test_many_mutate_as_one_does(
    shape: tuple[int, int, int], options: dict[str, Any], check_batches: Callable[..., None]
) -> None:
    check_batches(cppn(shape, **options))


def test_presets_are_defaults() -> None:
    found = {
        name: (options["coords"], options["colour"])
        for name in ("paper", "released", "evofool")
        if (options := cppn(preset=name).options)
    }
    assert found == {
        "paper": ("raw", "hsv"),
        "released": ("raw", "hls"),
        "evofool": ("normalised", "hls"),
    }
    assert cppn().options == cppn(preset="evofool").options
    mixed = cppn(preset="released", colour="rgb").options
    assert (mixed["coords"], mixed["colour"]) == ("raw", "rgb")
    rates = ("weight_rate", "activation_rate", "add_connection", "delete_connection")
    assert [cppn().options[key] for key in rates] == [0.1, 0.1, 0.5, 0.3]
    assert cppn().options["split_connection"] == 0.5
    assert cppn().options["delete_node"] == 0.2
    assert cppn().options["activations"] == ["sine", "sigmoid", "gaussian", "linear"]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"preset": "papers"}, "preset"),
        ({"coords": "pixels"}, "coords"),
        ({"colour": "lab"}, "colour"),
        ({"activations": []}, "activations"),
        ({"activations": ["sin"]}, "activations"),
        ({"activations": "sine"}, "activations"),
        ({"weight_rate": 2}, "weight_rate"),
        ({"weight_eta": -1}, "weight_eta"),
        ({"split_connection": float("nan")}, "split_connection"),
        ({"delete_node": "0.2"}, "delete_node"),
        ({"max_hidden": -1}, "max_hidden"),
        ({"max_hidden": 5000}, "max_hidden"),
        ({"crossover": 0.5}, "crossover"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], key: str) -> None:
    with pytest.raises(EncodingError) as caught:
        cppn(**options)
    assert caught.value.option is not None
    assert key_path(caught.value.option)[0] == key


def test_it_draws_grey_or_colour_only() -> None:
    with pytest.raises(EncodingError, match="1 or 3 channels"):
        cppn((4, 8, 8))


def test_the_first_graphs_join_every_input_to_every_output() -> None:
    rng = np.random.default_rng(2)
    encoding = cppn(COLOUR)
    codes, genes = [], []
    for _ in range(200):
        graph = encoding.sample(rng)
        graph.check()
        assert graph.hidden == 0
        assert set(edges(graph)) == {(source, 4 + out) for source in range(4) for out in range(3)}
        codes += graph.activations.tolist()
        genes += graph.genes.tolist()
    assert np.bincount(codes, minlength=4).min() > 0.2 * len(codes)
    assert np.histogram(genes, bins=4, range=(0, 1))[0].min() > 0.2 * len(genes)


@given(seed=st.integers(0, 2**32), steps=st.integers(0, 60), colour=st.booleans())
@settings(max_examples=60)
def test_mutants_are_graphs(seed: int, steps: int, colour: bool) -> None:
    encoding = cppn(COLOUR if colour else GREY, max_hidden=6)
    rng = np.random.default_rng(seed)
    graph = encoding.sample(rng)
    for generation in range(1, steps + 1):
        graph = encoding.mutate(graph, rng, generation)
        graph.check()
        assert graph.hidden <= 6
    data = encoding.dump(graph)
    assert encoding.load(data) == graph
    assert np.array_equal(encoding.render([graph], (6, 5)), encoding.render([graph], (6, 5)))


def test_nothing_mutates_at_rates_of_zero() -> None:
    graph = evolved(cppn(COLOUR), 30)
    assert cppn(COLOUR, **STILL).mutate(graph, np.random.default_rng(3)) == graph


def test_weights_and_activations_mutate_alone() -> None:
    graph = evolved(cppn(COLOUR), 60)
    rng = np.random.default_rng(4)
    weights = [cppn(COLOUR, **{**STILL, "weight_rate": 0.1}).mutate(graph, rng) for _ in range(100)]
    assert all(edges(child).keys() == edges(graph).keys() for child in weights)
    assert all(np.array_equal(child.activations, graph.activations) for child in weights)
    share = np.mean([child.genes != graph.genes for child in weights])
    assert share == pytest.approx(0.1, rel=0.2)
    changed = [
        cppn(COLOUR, **{**STILL, "activation_rate": 0.1}).mutate(graph, rng) for _ in range(300)
    ]
    assert all(edges(child) == edges(graph) for child in changed)
    share = np.mean([child.activations != graph.activations for child in changed])
    assert share == pytest.approx(0.1 * 3 / 4, rel=0.2)  # a quarter draws what it was


def test_an_added_connection_is_new_and_leads_forward() -> None:
    encoding = cppn(COLOUR, **{**STILL, "add_connection": 1.0})
    graph = evolved(cppn(COLOUR, add_connection=0.0), 25)
    assert graph.hidden > 2
    rng = np.random.default_rng(5)
    added: set[tuple[int, int]] = set()
    while True:
        child = encoding.mutate(graph, rng)
        child.check()
        new = edges(child).keys() - edges(graph).keys()
        assert edges(graph).items() <= edges(child).items()
        if not new:
            break  # every pair that keeps the graph acyclic is joined
        assert len(new) == 1
        added |= new
        graph = child
    assert len(added) > 10
    hidden = range(7, 7 + graph.hidden)
    pairs = graph.hidden * (graph.hidden - 1) // 2
    assert graph.connections == pairs + 4 * (graph.hidden + 3) + 3 * len(hidden)


def test_a_deleted_connection_is_one_of_them() -> None:
    encoding = cppn(**{**STILL, "delete_connection": 1.0})
    graph = cppn().sample(np.random.default_rng(6))
    rng = np.random.default_rng(7)
    gone = {
        (edges(graph).keys() - edges(encoding.mutate(graph, rng)).keys()).pop() for _ in range(60)
    }
    assert gone == edges(graph).keys()
    for left in (3, 2, 1, 0, 0):
        graph = encoding.mutate(graph, rng)
        assert graph.connections == left
    # A graph without connections still does everything.
    full = cppn(split_connection=1.0, delete_node=1.0)
    full.mutate(graph, rng).check()
    assert len(np.unique(full.render([graph], (5, 5)))) == 1
    assert full.load(full.dump(graph)) == graph


def test_a_split_puts_a_node_between() -> None:
    encoding = cppn(**{**STILL, "split_connection": 1.0})
    graph = cppn().sample(np.random.default_rng(8))
    child = encoding.mutate(graph, np.random.default_rng(9))
    (old,) = edges(graph).keys() - edges(child).keys()
    new = edges(child).keys() - edges(graph).keys()
    assert new == {(old[0], 5), (5, old[1])}
    assert {edges(child)[pair] for pair in new} == {edges(graph)[old]}
    assert child.activations[0] == graph.activations[0]
    full = cppn(**{**STILL, "split_connection": 1.0}, max_hidden=1)
    assert full.mutate(child, np.random.default_rng(10)) == child


def test_a_deleted_node_takes_its_connections_along() -> None:
    encoding = cppn(COLOUR, **{**STILL, "delete_node": 1.0})
    graph = evolved(cppn(COLOUR, delete_node=0.0), 30)
    rng = np.random.default_rng(11)
    while graph.hidden:
        child = encoding.mutate(graph, rng)
        child.check()
        assert child.hidden == graph.hidden - 1
        assert any(edges(child) == without(graph, node) for node in range(7, 7 + graph.hidden))
        graph = child
    assert encoding.mutate(graph, rng) == graph


def without(graph: Graph, node: int) -> dict[tuple[int, int], float]:
    """The edges after `node` is taken out, by hand."""
    return {
        (source - (source > node), target - (target > node)): gene
        for (source, target), gene in edges(graph).items()
        if node not in (source, target)
    }


def test_activations_are_drawn_from_the_list() -> None:
    encoding = cppn(COLOUR, activations=["tanh5", "gaussian"], activation_rate=1.0)
    graph = evolved(encoding, 40)
    assert {ACTIVATIONS[code] for code in graph.activations} == {"tanh5", "gaussian"}
    with pytest.raises(ValueError, match="activation"):
        cppn(COLOUR).load(encoding.dump(graph))


def test_the_picture_does_not_depend_on_the_size() -> None:
    for coords in ("raw", "normalised"):
        encoding = cppn((3, 9, 17), coords=coords)
        graphs = [evolved(encoding, 15, seed) for seed in range(5)]
        fine, native = encoding.render(graphs, (17, 33)), encoding.render(graphs, (9, 17))
        assert np.mean(fine[:, :, ::2, ::2] != native) < 0.01


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_tensors_hold_the_pixels(shape: tuple[int, int, int]) -> None:
    encoding = cppn(shape)
    graphs = [evolved(encoding, 15, seed) for seed in range(5)]
    tensor = encoding.render_tensor(graphs, (9, 13), "cpu")
    assert (tensor.shape, tensor.dtype) == ((5, shape[0], 9, 13), torch.uint8)
    np.testing.assert_array_equal(tensor, encoding.render(graphs, (9, 13)))
    none = encoding.render_tensor([], (9, 13), torch.device("cpu"))
    assert (none.shape, none.dtype) == ((0, shape[0], 9, 13), torch.uint8)


def test_tensors_need_neither_numba_nor_opencv(tmp_path: Path) -> None:
    """As on a machine that has a GPU to draw with; what comes out is the torch back end's."""
    encoding = cppn(COLOUR)
    graphs = [evolved(encoding, 30, seed) for seed in range(3)]
    for n, graph in enumerate(graphs):
        (tmp_path / str(n)).write_bytes(encoding.dump(graph))
    code = """
import sys
from pathlib import Path
sys.modules["numba"] = sys.modules["cv2"] = None
import numpy as np
from evofool import encodings
encoding = encodings.load("cppn", (3, 9, 8), {})
folder = Path(sys.argv[1])
graphs = [encoding.load((folder / str(n)).read_bytes()) for n in range(3)]
np.save(folder / "pixels.npy", encoding.render_tensor(graphs, (17, 16), "cpu").numpy())
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=600)
    wanted = render_cppn_tensor(
        compile_tapes(graphs),
        (17, 16),
        coords="normalised",
        colour="hls",
        native=COLOUR[1:],
        device="cpu",
        backend="torch",
    )
    np.testing.assert_array_equal(np.load(tmp_path / "pixels.npy"), wanted)


def test_the_bytes_are_written_down() -> None:
    graph = Graph(
        1,
        np.array([3, 0], np.uint8),
        np.array([5, 0], np.int16),
        np.array([4, 5], np.int16),
        np.array([1.0, 0.5], np.float32),
    )
    data = b"EFC\x01" + b"\1\0\1\0\2\0\0\0" + b"\3\0" + b"\5\0\0\0" + b"\4\0\5\0"
    data += b"\0\0\x80\x3f\0\0\0\x3f"
    encoding = cppn()
    assert encoding.dump(graph) == data
    assert encoding.load(data) == graph
    with pytest.raises(ValueError, match="outputs"):
        cppn(COLOUR).load(data)
    with pytest.raises(ValueError, match="hidden"):
        cppn(max_hidden=0).load(data)
    with pytest.raises(ValueError, match="version"):
        encoding.load(b"EFC\x02" + data[4:])
    with pytest.raises(ValueError, match="bytes"):
        encoding.load(data + b"\0")
    with pytest.raises(ValueError, match="cycle"):
        encoding.load(data.replace(b"\5\0\0\0\4\0\5\0", b"\5\0\5\0\4\0\5\0"))


@given(damage=st.data(), seed=st.integers(0, 20), steps=st.integers(0, 12))
@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_damaged_bytes_are_refused_or_a_genome(
    damage: st.DataObject, seed: int, steps: int, check_damage: Callable[..., None]
) -> None:
    encoding = cppn()
    check_damage(encoding, encoding.dump(evolved(encoding, steps, seed)), damage)


def test_a_description_is_the_graph() -> None:
    graph = evolved(cppn(COLOUR), 30)
    found = cppn(COLOUR).describe(graph)
    assert found["hidden"] == graph.hidden
    assert found["connections"] == graph.connections == len(found["edges"])
    assert sum(found["activations"].values()) == 3 + graph.hidden
    assert [node["id"] for node in found["nodes"]] == list(range(7 + graph.hidden))
    kinds = [node["kind"] for node in found["nodes"]]
    assert kinds == ["input"] * 4 + ["output"] * 3 + ["hidden"] * graph.hidden
    for edge, ((source, target), gene) in zip(found["edges"], edges(graph).items(), strict=True):
        assert (edge["source"], edge["target"]) == (source, target)
        assert edge["weight"] == pytest.approx(20 * gene - 10, abs=1e-6)
