"""A CPPN in the manner of PyTorch-NEAT: nodes that call their children on whole planes.

A graph becomes a tree of objects, and asking an output for its values asks its sources first; every
node multiplies, adds and activates whole coordinate planes as tensors, one graph at a time. As in
the original, calling an output forgets the values of all nodes it reads, so that what three outputs
share is evaluated three times; `evaluate` can also be told to `share` it. The original's checks of
shapes and names are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from evofool.render import INPUTS, WEIGHT_LIMIT, Graph

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: tuple[Activation, ...] = (
    torch.sin,
    lambda p: 2 * (torch.sigmoid(p) - 0.5),
    lambda p: torch.exp(-(p**2)),
    lambda p: torch.clamp(p, -3, 3) / 3,
    lambda p: torch.tanh(5 * p),
)
"""In the order of `evofool.render.ACTIVATIONS`."""
BIAS = INPUTS.index("bias")


class Leaf:
    """An input: a plane that is given."""

    def __init__(self, plane: Tensor) -> None:
        self._plane = plane

    def values(self, shape: torch.Size) -> Tensor:
        """The plane."""
        return self._plane

    def reset(self, done: set[int]) -> None:
        """A leaf keeps its plane."""


class Node:
    """An output or hidden node, evaluated once between two resets."""

    def __init__(
        self,
        children: Sequence[Leaf | Node],
        weights: Sequence[float],
        bias: float,
        response: float,
        activation: Activation,
    ) -> None:
        self._children = children
        self._weights = weights
        self._bias = bias
        self._response = response
        self._activation = activation
        self._values: Tensor | None = None

    def values(self, shape: torch.Size) -> Tensor:
        """The node's value at every pixel."""
        if self._values is None:
            self._values = self._activate([child.values(shape) for child in self._children], shape)
        return self._values

    def _activate(self, planes: Sequence[Tensor], shape: torch.Size) -> Tensor:
        if not planes:
            return self._activation(torch.full(shape, self._bias))
        weighted = [w * plane for w, plane in zip(self._weights, planes, strict=True)]
        total: Tensor = sum(weighted[1:], start=weighted[0])
        return self._activation(self._response * total + self._bias)

    def reset(self, done: set[int]) -> None:
        """Forget the value of this node and of all it reads."""
        if id(self) in done:
            return
        done.add(id(self))
        self._values = None
        for child in self._children:
            child.reset(done)


def build(graph: Graph, planes: Sequence[Tensor]) -> list[Leaf | Node]:
    """The output nodes of `graph` over the planes x, y, radius; a bias input is a node's own."""
    weights = graph.genes.astype(float) * (2 * WEIGHT_LIMIT) - WEIGHT_LIMIT
    incoming: dict[int, list[tuple[int, float]]] = {}
    for source, target, weight in zip(
        graph.sources.tolist(), graph.targets.tolist(), weights.tolist(), strict=True
    ):
        incoming.setdefault(target, []).append((source, weight))
    nodes: dict[int, Leaf | Node] = {i: Leaf(plane) for i, plane in enumerate(planes)}

    def node(number: int) -> Leaf | Node:
        if number not in nodes:
            edges = incoming.get(number, [])
            read = [(source, weight) for source, weight in edges if source != BIAS]
            nodes[number] = Node(
                [node(source) for source, _ in read],
                [weight for _, weight in read],
                sum(weight for source, weight in edges if source == BIAS),
                1.0,
                ACTIVATIONS[graph.activations[number - len(INPUTS)]],
            )
        return nodes[number]

    return [node(len(INPUTS) + output) for output in range(graph.outputs)]


def evaluate(
    graphs: Sequence[Graph], planes: Sequence[Tensor], share: bool = False
) -> list[list[Tensor]]:
    """The outputs of every graph at every pixel, without colour or rounding to 8 bits.

    With `share`, nodes keep their values for all outputs of a graph.
    """
    shape = planes[0].shape
    found = []
    for graph in graphs:
        values = []
        for output in build(graph, planes):
            if not share:
                output.reset(set())
            values.append(output.values(shape))
        found.append(values)
    return found
