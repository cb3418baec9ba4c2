"""Changes of graphs: of one in plain Python, and of many at once, compiled.

Both change the same graph in the same way; `Draft` is the readable reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.operators.streams import Compiled, kernels

GraphArrays: TypeAlias = tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.uint8],
    NDArray[np.int16],
    NDArray[np.int16],
    NDArray[np.float32],
]
"""N graphs one after another: the ends of their nodes and of their connections, both (N + 1,) from
0 on, and activations, sources, targets and genes as of `evofool.render.Graph`."""


INPUTS = 4
"""Nodes that come before the outputs."""


class Draft:
    """A graph being changed, in Python lists: for some dozens of connections faster than arrays.

    Every `u` is a number on [0, 1) that makes a choice.

    Args:
        outputs: of the graph.
        activations: (outputs + hidden,) uint8, as of `evofool.render.Graph`, like all that follow.
        sources: (connections,) int16.
        targets: (connections,) int16.
        genes: (connections,) float32.
    """

    def __init__(
        self,
        outputs: int,
        activations: NDArray[np.uint8],
        sources: NDArray[np.int16],
        targets: NDArray[np.int16],
        genes: NDArray[np.float32],
    ) -> None:
        self.outputs = outputs
        self.first_hidden = INPUTS + outputs
        self.codes: list[int] = activations.tolist()
        self.sources: list[int] = sources.tolist()
        self.targets: list[int] = targets.tolist()
        self.genes: list[float] = genes.tolist()

    @property
    def hidden(self) -> int:
        """How many hidden nodes there are."""
        return len(self.codes) - self.outputs

    def add_connection(self, order: list[int], u: float, gene: float) -> None:
        """A connection that is new and closes no cycle, to the first of `order` that can have one.

        Args:
            order: all outputs and hidden nodes, as indices of `codes`, in random order.
            u: chooses the source.
            gene: of the new connection.
        """
        nodes = INPUTS + len(self.codes)
        following: list[list[int]] = [[] for _ in range(nodes)]
        for source, target in zip(self.sources, self.targets, strict=True):
            following[source].append(target)
        for index in order:
            target = index + INPUTS
            taken = [False] * nodes  # the target, what it leads to, what leads to it directly
            taken[target] = True
            stack = [target]
            while stack:
                for node in following[stack.pop()]:
                    if not taken[node]:
                        taken[node] = True
                        stack.append(node)
            for source in (*range(INPUTS), *range(self.first_hidden, nodes)):
                if target in following[source]:
                    taken[source] = True
            free = [node for node in range(INPUTS) if not taken[node]]
            free += [node for node in range(self.first_hidden, nodes) if not taken[node]]
            if free:
                self._append(free[int(u * len(free))], target, gene)
                return

    def delete_connection(self, u: float) -> None:
        """Removes one, if there is one."""
        if self.genes:
            self._remove(int(u * len(self.genes)))

    def split_connection(self, u: float, code: int) -> None:
        """Puts a new node on a connection; both halves get its weight."""
        if not self.genes:
            return
        edge = int(u * len(self.genes))
        source, target, gene = self.sources[edge], self.targets[edge], self.genes[edge]
        node = INPUTS + len(self.codes)
        self._remove(edge)
        self.codes.append(code)
        self._append(source, node, gene)
        self._append(node, target, gene)

    def delete_node(self, u: float) -> None:
        """Removes a hidden node and its connections; the nodes after it move up."""
        if not self.hidden:
            return
        node = self.first_hidden + int(u * self.hidden)
        del self.codes[node - INPUTS]
        kept = [
            edge
            for edge in range(len(self.genes))
            if self.sources[edge] != node and self.targets[edge] != node
        ]
        self.sources = [self.sources[edge] - (self.sources[edge] > node) for edge in kept]
        self.targets = [self.targets[edge] - (self.targets[edge] > node) for edge in kept]
        self.genes = [self.genes[edge] for edge in kept]

    def finish(
        self,
    ) -> tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.int16], NDArray[np.float32]]:
        """Activations (outputs + hidden,), and sources, targets and genes (connections,), sorted
        by target, then source."""
        sources = np.array(self.sources, dtype=np.int16)
        targets = np.array(self.targets, dtype=np.int16)
        order = np.lexsort((sources, targets))
        return (
            np.array(self.codes, dtype=np.uint8),
            sources[order],
            targets[order],
            np.array(self.genes, dtype=np.float32)[order],
        )

    def _append(self, source: int, target: int, gene: float) -> None:
        self.sources.append(source)
        self.targets.append(target)
        self.genes.append(gene)

    def _remove(self, edge: int) -> None:
        del self.sources[edge], self.targets[edge], self.genes[edge]


@dataclass(frozen=True)
class GraphRates:
    """How graphs change.

    Attributes:
        activation: probability of each node to draw its activation anew.
        add: of a new connection.
        delete: of a connection to be taken away.
        split: of a connection to be replaced by a node and two connections.
        delete_node: of a hidden node to be taken away.
        codes: (C,) uint8, the activations that are drawn from.
        max_hidden: in a graph of so many hidden nodes no connection is split.
    """

    activation: float
    add: float
    delete: float
    split: float
    delete_node: float
    codes: NDArray[np.uint8]
    max_hidden: int


def mutate_graphs(
    outputs: int, graphs: GraphArrays, streams: Compiled, rates: GraphRates
) -> GraphArrays:
    """Changed copies, of which each draws from its own stream what one graph alone would draw.

    That is, in this order: a number for each node and one for each activation that changes, nine
    for the structural changes, and for a new connection an order of the nodes and its gene. Every
    number on [0, 1) that chooses one of n chooses number int(u n).

    Args:
        outputs: of each graph.
        graphs: N, each with its connections sorted by target, then source.
        streams: N.
        rates: of all changes.
    """
    nodes, edges = graphs[0], graphs[1]
    n = len(nodes) - 1
    new = (
        np.zeros(n + 1, dtype=np.int64),
        np.zeros(n + 1, dtype=np.int64),
        # a graph grows by a node at most, and by a connection that is added and one that is split
        np.empty(nodes[-1] + n, dtype=np.uint8),
        np.empty(edges[-1] + 2 * n, dtype=np.int16),
        np.empty(edges[-1] + 2 * n, dtype=np.int16),
        np.empty(edges[-1] + 2 * n, dtype=np.float32),
    )
    compiled = kernels()
    assert compiled is not None
    compiled.mutate_graphs(
        streams.states,
        outputs,
        *graphs,
        *new,
        rates.codes,
        np.array([rates.activation, rates.add, rates.delete, rates.split, rates.delete_node]),
        rates.max_hidden,
    )
    nodes, edges, activations, sources, targets, genes = new
    node_count, edge_count = int(nodes[-1]), int(edges[-1])
    return (
        nodes,
        edges,
        activations[:node_count],
        sources[:edge_count],
        targets[:edge_count],
        genes[:edge_count],
    )
