"""Drawing 128 CPPNs of 20 hidden nodes and 60 connections on one thread.

evofool's rows hold all of rendering: compiling the graphs, colour conversion, 8 bits. The rivals'
hold building their networks and evaluating them, and stop at the output nodes' values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from measuring import measure, scaled
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from rivals import neat_pixels, torch_planes

from evofool import encodings
from evofool.images import Size
from evofool.render import INPUTS, Graph, compile_tapes, coordinate_planes, output_values

HIDDEN, CONNECTIONS, GENOMES = 20, 60, 128
SHAPES = [(1, 28, 28), (3, 224, 224)]
CHECKED = 16
"""Graphs whose outputs are compared."""
TOLERANCE, SHARE = 1e-3, 0.99
"""Of all pixels this share differs by no more. Not all do: with weights up to 10 a graph multiplies
rounding errors, and neat-python counts in float64, the others in float32."""


def random_graph(rng: np.random.Generator, outputs: int) -> Graph:
    """No node is dead: each hidden one is read by a later one, and every node reads something."""
    inputs = len(INPUTS)
    hidden = list(range(inputs + outputs, inputs + outputs + HIDDEN))
    order = [*hidden, *range(inputs, inputs + outputs)]
    edges = set()
    for i, node in enumerate(hidden):
        edges.add((order[rng.integers(i + 1, len(order))], node))
    for i, node in enumerate(order):
        if node not in {target for target, _ in edges}:
            edges.add((node, _source(rng, hidden[: min(i, HIDDEN)])))
    while len(edges) < CONNECTIONS:
        i = int(rng.integers(len(order)))
        edges.add((order[i], _source(rng, hidden[: min(i, HIDDEN)])))
    pairs = sorted(edges)
    graph = Graph(
        outputs,
        rng.integers(0, 4, outputs + HIDDEN).astype(np.uint8),
        np.array([source for _, source in pairs], dtype=np.int16),
        np.array([target for target, _ in pairs], dtype=np.int16),
        rng.random(len(pairs), dtype=np.float32),
    )
    graph.check()
    return graph


def _source(rng: np.random.Generator, earlier: Sequence[int]) -> int:
    candidates: list[int] = [*range(len(INPUTS)), *earlier]
    return candidates[int(rng.integers(len(candidates)))]


def random_graphs(shape: tuple[int, int, int], count: int = GENOMES) -> list[Graph]:
    """The same graphs in every test."""
    rng = np.random.default_rng(7)
    return [random_graph(rng, shape[0]) for _ in range(count)]


def tensors(size: Size) -> list[Any]:
    """The planes x, y, radius as torch tensors."""
    import torch

    return [torch.from_numpy(p.copy()).reshape(size) for p in planes(size)]


def pixels(size: Size, every: int = 1) -> list[tuple[float, ...]]:
    """(x, y, radius) of every so manieth pixel."""
    return [tuple(column) for column in planes(size)[:, ::every].T.tolist()]


def planes(size: Size) -> NDArray[np.float32]:
    """What evofool draws from: normalised coordinates."""
    return coordinate_planes(size, "normalised", size)


@pytest.mark.parametrize("shape", SHAPES, ids=["28", "224"])
def test_all_three_give_the_same_outputs(shape: tuple[int, int, int]) -> None:
    graphs, size = random_graphs(shape, CHECKED), shape[1:]
    every = 1 if size == (28, 28) else 97
    ours = output_values(compile_tapes(graphs), size, coords="normalised", native=size)
    ours = ours.reshape(CHECKED, shape[0], -1)[..., ::every]
    torch_ones = np.array(
        [[plane.numpy().reshape(-1)[::every] for plane in graph]
         for graph in torch_planes.evaluate(graphs, tensors(size))]
    )  # fmt: skip
    neat_ones = np.array(neat_pixels.evaluate(graphs, pixels(size, every))).transpose(0, 2, 1)
    for theirs in (torch_ones, neat_ones):
        apart = np.abs(ours - theirs)
        assert (apart <= TOLERANCE).mean() >= SHARE
        assert np.median(apart) <= TOLERANCE / 100


def _group(shape: tuple[int, int, int]) -> str:
    return f"Rendering CPPNs at {shape[1]} x {shape[2]} x {shape[0]}, one thread"


@pytest.mark.parametrize("shape", SHAPES, ids=["28", "224"])
class TestSpeed:
    """Side by side."""

    def test_evofool(self, benchmark: BenchmarkFixture, shape: tuple[int, int, int]) -> None:
        encoding, graphs = encodings.load("cppn", shape), random_graphs(shape)
        images = measure(
            benchmark,
            lambda: encoding.render(graphs, shape[1:]),
            group=_group(shape),
            label="evofool",
            role="ours",
            units=len(graphs),
            unit="genome",
            rounds=20,
            note="with compiling, colour and 8 bits",
        )
        assert images.shape == (GENOMES, *shape)

    @pytest.mark.parametrize("share", [False, True], ids=["as-it-is", "shared"])
    @pytest.mark.usefixtures("_one_thread")
    def test_pytorch_neat_style(
        self, benchmark: BenchmarkFixture, shape: tuple[int, int, int], share: bool
    ) -> None:
        if share and shape[0] == 1:
            pytest.skip("one output has nothing to share")
        given, graphs = tensors(shape[1:]), random_graphs(shape)
        measure(
            benchmark,
            lambda: torch_planes.evaluate(graphs, given, share),
            group=_group(shape),
            label="PyTorch-NEAT style" + (", improved: outputs share nodes" if share else ""),
            role="rival",
            units=len(graphs),
            unit="genome",
            rounds=7,
            note="output values only",
        )

    def test_neat_python(self, benchmark: BenchmarkFixture, shape: tuple[int, int, int]) -> None:
        count = 16 if shape[1] == 28 else scaled(4)
        graphs, given = random_graphs(shape, count), pixels(shape[1:])
        measure(
            benchmark,
            lambda: neat_pixels.evaluate(graphs, given),
            group=_group(shape),
            label="neat-python, per pixel",
            role="rival",
            units=count,
            unit="genome",
            rounds=3,
            warm_up=False,
            note=f"output values only; measured on {count} of the genomes",
        )
