"""What a graph promises, and how `check` finds it broken."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evofool.render import Graph
from evofool.render.graph import are_genes, has_cycle


def graph(
    *edges: tuple[int, int, float], outputs: int = 1, codes: tuple[int, ...] = (0, 0, 0)
) -> Graph:
    return Graph(
        outputs,
        np.array(codes, np.uint8),
        np.array([source for source, _, _ in edges], np.int16),
        np.array([target for _, target, _ in edges], np.int16),
        np.array([gene for _, _, gene in edges], np.float32),
    )


def test_a_graph_that_holds_its_promises_passes() -> None:
    good = graph((0, 4, 0.5), (5, 4, 0.0), (6, 5, 1.0), (3, 6, 0.25))
    good.check()
    assert (good.hidden, good.connections) == (2, 4)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (graph((0, 4, 0.5), outputs=2), "1 or 3 outputs"),
        (graph((0, 4, 0.5), codes=()), "hidden nodes"),
        (graph((0, 4, 0.5), codes=(0, 5)), "activation"),
        (graph((4, 5, 0.5)), "starts at"),
        (graph((7, 5, 0.5)), "starts at"),
        (graph((-1, 5, 0.5)), "starts at"),
        (graph((0, 3, 0.5)), "ends at"),
        (graph((0, 7, 0.5)), "ends at"),
        (graph((1, 4, 0.5), (0, 4, 0.5)), "sorted"),
        (graph((0, 4, 0.5), (0, 4, 0.5)), "repeated"),
        (graph((0, 4, 1.5)), "gene"),
        (graph((0, 4, float("nan"))), "gene"),
        (graph((5, 5, 0.5)), "cycle"),
        (graph((6, 5, 0.5), (5, 6, 0.5)), "cycle"),
    ],
)
def test_check_names_what_is_wrong(bad: Graph, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bad.check()


def test_graphs_are_values(random_graph: Callable[..., Graph]) -> None:
    first, second = (random_graph(np.random.default_rng(1), 3, 9) for _ in range(2))
    other = random_graph(np.random.default_rng(2), 3, 9)
    for same in (second, copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert first == same
        assert hash(first) == hash(same)
    assert first != other
    assert first != "graph"
    with pytest.raises(ValueError, match="read-only"):
        first.genes[0] = 0


@given(st.floats(width=32))
def test_genes_are_the_numbers_from_zero_to_one(value: float) -> None:
    negative_zero = value == 0 and bool(np.signbit(value))
    assert are_genes(np.array([0.5, value], np.float32)) == (0 <= value <= 1 and not negative_zero)


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_a_cycle_is_found_where_a_node_reaches_itself(edges: list[tuple[int, int]]) -> None:
    reach = np.zeros((8, 8), dtype=bool)
    for source, target in edges:
        reach[source, target] = True
    for through in range(8):  # Warshall 1962
        reach |= reach[:, through, None] & reach[None, through]
    found = has_cycle(8, [source for source, _ in edges], [target for _, target in edges])
    assert found == bool(reach.diagonal().any())
