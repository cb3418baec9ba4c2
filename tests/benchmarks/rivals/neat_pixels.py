"""A CPPN in neat-python: its `FeedForwardNetwork`, activated once for every pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from neat.nn import FeedForwardNetwork  # type: ignore[import-untyped]

from evofool.render import INPUTS, WEIGHT_LIMIT, Graph

ACTIVATIONS: tuple[Callable[[float], float], ...] = (
    math.sin,
    lambda p: 2 * (1 / (1 + math.exp(-p)) - 0.5) if p > -700 else -1.0,
    lambda p: math.exp(-p * p),
    lambda p: max(-3.0, min(3.0, p)) / 3,
    lambda p: math.tanh(5 * p),
)
"""In the order of `evofool.render.ACTIVATIONS`."""
BIAS = INPUTS.index("bias")


def network(graph: Graph) -> Any:
    """The network of `graph`: inputs x, y, radius; a bias input is the bias of the node it feeds.

    Nodes that reach no output are left out, as neat-python's own `create` does.
    """
    weights = graph.genes.astype(float) * (2 * WEIGHT_LIMIT) - WEIGHT_LIMIT
    incoming: dict[int, list[tuple[int, float]]] = {}
    for source, target, weight in zip(
        graph.sources.tolist(), graph.targets.tolist(), weights.tolist(), strict=True
    ):
        incoming.setdefault(target, []).append((source, weight))
    evaluations: list[tuple[Any, ...]] = []
    placed = set(range(len(INPUTS)))

    def place(number: int) -> None:
        if number in placed:
            return
        placed.add(number)
        edges = incoming.get(number, [])
        for source, _ in edges:
            place(source)
        bias = sum(weight for source, weight in edges if source == BIAS)
        read = [(source, weight) for source, weight in edges if source != BIAS]
        activation = ACTIVATIONS[graph.activations[number - len(INPUTS)]]
        evaluations.append((number, activation, sum, bias, 1.0, read))

    outputs = [len(INPUTS) + output for output in range(graph.outputs)]
    for output in outputs:
        place(output)
    return FeedForwardNetwork([i for i in range(len(INPUTS)) if i != BIAS], outputs, evaluations)


def evaluate(graphs: Sequence[Graph], pixels: Sequence[Sequence[float]]) -> list[list[list[float]]]:
    """The outputs of every graph at every pixel (x, y, radius), building the networks included."""
    found = []
    for graph in graphs:
        activate = network(graph).activate
        found.append([activate(pixel) for pixel in pixels])
    return found
