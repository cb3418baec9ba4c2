"""Random graphs, and an oracle that evaluates them without any of the code under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.render import Graph

Floats = NDArray[np.floating[Any]]


def _activate(code: int, p: Floats) -> Floats:
    one = p.dtype.type(1)
    match code:
        case 0:
            return np.sin(p)
        case 1:
            with np.errstate(over="ignore"):
                return 2 * (one / (one + np.exp(-p)) - p.dtype.type(0.5))
        case 2:
            with np.errstate(under="ignore", over="ignore"):
                return np.exp(-p * p)
        case 3:
            return np.clip(p, -3, 3) / p.dtype.type(3)
        case _:
            return np.tanh(5 * p)


def _inputs(size: tuple[int, int], native: tuple[int, int] | None) -> list[Floats]:
    """x, y, radius as float64 height x width; raw where `native` is given."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float64)
    y = 2 * rows / (size[0] - 1) - 1 if size[0] > 1 else 0 * rows
    x = 2 * columns / (size[1] - 1) - 1 if size[1] > 1 else 0 * columns
    radius = np.hypot(x, y)
    if native is not None:
        y, x = (y + 1) / 2 * (native[0] - 1), (x + 1) / 2 * (native[1] - 1)
    return [x, y, radius]


def _evaluate(
    graph: Graph,
    size: tuple[int, int],
    native: tuple[int, int] | None,
    dtype: type,
    bias: Floats | None = None,
) -> Floats:
    """The outputs, outputs x height x width, computed in `dtype` straight from the genes."""
    planes = [plane.astype(dtype) for plane in _inputs(size, native)]
    planes.append(np.ones_like(planes[0]) if bias is None else bias.astype(dtype))
    known = dict(enumerate(planes))

    def value(node: int) -> Floats:
        if node not in known:
            total = np.zeros_like(planes[0])
            for edge in np.flatnonzero(graph.targets == node):
                weight = dtype(20) * dtype(graph.genes[edge]) - dtype(10)
                total = total + weight * value(int(graph.sources[edge]))
            known[node] = _activate(int(graph.activations[node - 4]), total)
        return known[node]

    return np.stack([value(4 + output) for output in range(graph.outputs)])


def _random_graph(
    rng: np.random.Generator, outputs: int, hidden: int, inputs_each: int = 3, codes: int = 5
) -> Graph:
    """Every node reads `inputs_each` others at most; node numbers are no topological order."""
    names = 4 + outputs + rng.permutation(hidden)  # in topological order
    edges = {}
    for place in range(hidden + outputs):
        target = int(names[place]) if place < hidden else 4 + place - hidden
        sources = [0, 1, 2, 3, *names[: min(place, hidden)].tolist()]
        for source in rng.choice(sources, size=min(inputs_each, len(sources)), replace=False):
            edges[target, int(source)] = rng.random(dtype=np.float32)
    keys = sorted(edges)
    graph = Graph(
        outputs,
        rng.integers(0, codes, outputs + hidden).astype(np.uint8),
        np.array([source for _, source in keys], dtype=np.int16),
        np.array([target for target, _ in keys], dtype=np.int16),
        np.array([edges[key] for key in keys], dtype=np.float32),
    )
    graph.check()
    return graph


@pytest.fixture(scope="session")
def activate() -> Callable[..., Floats]:
    """`_activate`."""
    return _activate


@pytest.fixture(scope="session")
def evaluate() -> Callable[..., Floats]:
    """`_evaluate`."""
    return _evaluate


@pytest.fixture(scope="session")
def random_graph() -> Callable[..., Graph]:
    """`_random_graph`."""
    return _random_graph
