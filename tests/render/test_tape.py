"""The tape against the graph it was compiled from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evofool.render import Graph, Tapes, compile_tapes, compiler


def living(graph: Graph) -> set[int]:
    """Outputs, and the hidden nodes some output depends on."""
    found = set(range(4, 4 + graph.outputs))
    waiting = list(found)
    while waiting:
        for source in graph.sources[graph.targets == waiting.pop()].tolist():
            if source > 3 and source not in found:
                found.add(source)
                waiting.append(source)
    return found


def check_tape(tapes: Tapes, n: int, graph: Graph) -> None:
    first, last = int(tapes.nodes[n]), int(tapes.nodes[n + 1])
    alive = living(graph)
    assert last - first == len(alive)
    # Find which node each instruction is, from the outputs back, by the sources it reads.
    node_of = {3 + last - first - graph.outputs + c: 4 + c for c in range(graph.outputs)}
    for slot in reversed(range(3, 3 + last - first)):
        at = first + slot - 3
        node = node_of[slot]
        assert tapes.codes[at] == graph.activations[node - 4]
        mine = graph.targets == node
        weights = 20.0 * graph.genes[mine].astype(np.float64) - 10.0
        sources = graph.sources[mine]
        bias = weights[sources == 3].sum()
        assert tapes.constants[at] == np.float32(bias)
        read = tapes.slots[tapes.edges[at] : tapes.edges[at + 1]]
        assert np.all(read < slot), "an instruction reads what is written later"
        others = sources[sources != 3]
        assert len(read) == len(others)
        np.testing.assert_array_equal(
            tapes.weights[tapes.edges[at] : tapes.edges[at + 1]],
            weights[sources != 3].astype(np.float32),
        )
        for source, where in zip(others.tolist(), read.tolist(), strict=True):
            if source < 3:
                assert where == source
            else:
                assert node_of.setdefault(where, source) == source
    assert set(node_of.values()) == alive


@pytest.mark.parametrize("outputs", [1, 3])
def test_tapes_say_what_their_graphs_say(outputs: int, random_graph: Callable[..., Graph]) -> None:
    rng = np.random.default_rng(1)
    graphs = [random_graph(rng, outputs, hidden) for hidden in (0, 1, 2, 5, 20, 60, 200, 0)]
    tapes = compile_tapes(graphs)
    assert len(tapes) == len(graphs)
    assert tapes.rows == 3 + int(np.diff(tapes.nodes).max())
    assert len(tapes.codes) == tapes.nodes[-1] < sum(len(g.activations) for g in graphs)
    assert len(tapes.edges) == len(tapes.codes) + 1
    assert tapes.edges[-1] == len(tapes.slots) == len(tapes.weights)
    for n, graph in enumerate(graphs):
        check_tape(tapes, n, graph)


def test_a_node_that_reaches_no_output_is_left_out() -> None:
    graph = Graph(
        1,
        np.array([3, 0, 1, 2], np.uint8),
        np.array([5, 0, 5, 1], np.int16),
        np.array([4, 5, 6, 7], np.int16),
        np.array([1.0, 0.75, 0.5, 0.25], np.float32),
    )
    graph.check()
    tapes = compile_tapes([graph])
    assert tapes.codes.tolist() == [0, 3]
    assert tapes.slots.tolist() == [0, 3]
    assert tapes.weights.tolist() == [5.0, 10.0]


def test_an_output_without_connections_is_the_activation_of_zero() -> None:
    empty = np.empty(0, np.int16)
    graph = Graph(3, np.array([0, 2, 3], np.uint8), empty, empty, np.empty(0, np.float32))
    tapes = compile_tapes([graph, graph])
    assert tapes.codes.tolist() == [0, 2, 3] * 2
    assert tapes.edges.tolist() == [0] * 7
    assert tapes.constants.tolist() == [0.0] * 6


@pytest.mark.parametrize("outputs", [1, 3])
def test_tapes_without_numba_are_the_same(
    outputs: int, random_graph: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(7)
    graphs = [random_graph(rng, outputs, hidden) for hidden in (0, 1, 5, 20, 60, 200, 0)]
    empty = np.empty(0, np.int16)
    codes = np.zeros(outputs, np.uint8)
    graphs.append(Graph(outputs, codes, empty, empty, np.empty(0, np.float32)))
    wanted = compile_tapes(graphs)
    monkeypatch.setattr(compiler, "compiled", None)
    found = compile_tapes(graphs)
    assert found.outputs == wanted.outputs
    for name in ("nodes", "codes", "constants", "edges", "slots", "weights"):
        one, other = getattr(found, name), getattr(wanted, name)
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes(), name
    assert len(compile_tapes([])) == 0


def test_no_graphs_are_no_tapes() -> None:
    tapes = compile_tapes([])
    assert len(tapes) == 0
    assert tapes.rows == 3


def test_grey_and_colour_do_not_mix(random_graph: Callable[..., Graph]) -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match="same number of outputs"):
        compile_tapes([random_graph(rng, 1, 2), random_graph(rng, 3, 2)])
