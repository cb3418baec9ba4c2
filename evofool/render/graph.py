"""The graph of a CPPN: inputs, outputs and hidden nodes joined by weighted connections.

A compositional pattern-producing network (Stanley 2007, "Compositional pattern producing
networks: A novel abstraction of development") maps the coordinates of a pixel to its colour.
Nodes are numbered: the `INPUTS` first, then the outputs, then the hidden nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

INPUTS = ("x", "y", "radius", "bias")
"""Names of nodes 0 to 3."""
ACTIVATIONS = ("sine", "sigmoid", "gaussian", "linear", "tanh5")
"""Activation k is stored as code k:

sin p; 2 (1 / (1 + exp(-p)) - 1/2); exp(-p^2); clip(p, -3, 3) / 3; tanh(5 p). All lie on [-1, 1].
"""
WEIGHT_LIMIT = 10.0
"""A gene g on [0, 1] is the weight 20 g - 10 (Nguyen et al. 2015)."""
MAX_HIDDEN = 4096
"""Largest number of hidden nodes (node numbers are int16, and renderers hold a row for each)."""

Codes: TypeAlias = NDArray[np.uint8]
"""uint8 (nodes,), indices into `ACTIVATIONS`."""
Nodes: TypeAlias = NDArray[np.int16]
"""int16 (connections,), numbers of nodes."""
Genes: TypeAlias = NDArray[np.float32]
"""float32 (connections,) on [0, 1]; see `WEIGHT_LIMIT`."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """An acyclic CPPN; immutable, equal to another where every array is equal.

    Attributes:
        outputs: 1 for grey, 3 for colour.
        activations: (outputs + hidden,) uint8, codes of `ACTIVATIONS`, outputs first.
        sources: (connections,) int16, an input or a hidden node.
        targets: (connections,) int16, an output or a hidden node.
        genes: (connections,) float32 on [0, 1]; see `WEIGHT_LIMIT`.

    Connections are sorted by target, then source, and no pair occurs twice. The constructor
    trusts its arguments (it is called for every child); `check` does not.
    """

    outputs: int
    activations: Codes
    sources: Nodes
    targets: Nodes
    genes: Genes

    def __post_init__(self) -> None:
        for array in (self.activations, self.sources, self.targets, self.genes):
            array.flags.writeable = False

    @property
    def hidden(self) -> int:
        """How many hidden nodes there are."""
        return len(self.activations) - self.outputs

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self.genes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, bytes, bytes, bytes, bytes]:
        return (
            self.outputs,
            self.activations.tobytes(),
            self.sources.tobytes(),
            self.targets.tobytes(),
            self.genes.tobytes(),
        )

    def check(self) -> None:
        """Raises ``ValueError`` unless all that the class promises holds, acyclicity included."""
        if self.outputs not in (1, 3):
            raise ValueError(f"a CPPN has 1 or 3 outputs, not {self.outputs}")
        if not 0 <= self.hidden <= MAX_HIDDEN:
            raise ValueError(f"{self.hidden} hidden nodes are not on 0 to {MAX_HIDDEN}")
        if np.any(self.activations >= len(ACTIVATIONS)):
            raise ValueError("unknown activation code")
        first_hidden = len(INPUTS) + self.outputs
        nodes = first_hidden + self.hidden
        sources, targets = self.sources.astype(np.int64), self.targets.astype(np.int64)
        if not len(sources) == len(targets) == len(self.genes):
            raise ValueError("sources, targets and genes differ in length")
        is_input = (sources >= 0) & (sources < len(INPUTS))
        if not np.all(is_input | ((sources >= first_hidden) & (sources < nodes))):
            raise ValueError("a connection starts at no input or hidden node")
        if not np.all((targets >= len(INPUTS)) & (targets < nodes)):
            raise ValueError("a connection ends at no output or hidden node")
        if np.any(np.diff((targets << 16) + sources) <= 0):
            raise ValueError("connections are not sorted by target and source, or one is repeated")
        if not are_genes(self.genes):
            raise ValueError("a weight gene is below 0 or above 1")
        if has_cycle(nodes, sources.tolist(), targets.tolist()):
            raise ValueError("the graph has a cycle")


class Graphs(Sequence[Graph]):
    """N graphs in one array of each kind, from which a graph is taken when it is asked for.

    A graph that is taken has arrays of its own: who survives does not keep the others in memory.

    Attributes:
        outputs: of each graph.
        nodes: (N + 1,) int64: graph n has the activations ``nodes[n]`` to ``nodes[n + 1]``.
        edges: (N + 1,) int64, likewise for its connections.
        activations, sources, targets, genes: as of `Graph`, those of all graphs one after another.
    """

    def __init__(
        self,
        outputs: int,
        nodes: NDArray[np.int64],
        edges: NDArray[np.int64],
        activations: Codes,
        sources: Nodes,
        targets: Nodes,
        genes: Genes,
    ) -> None:
        self.outputs = outputs
        self.nodes, self.edges = nodes, edges
        self.activations, self.genes = activations, genes
        self.sources, self.targets = sources, targets

    @classmethod
    def of(cls, graphs: Iterable[Graph]) -> Graphs:
        """`graphs` as such; what is one already stays as it is.

        Raises:
            ValueError: they differ in their number of outputs.
        """
        if isinstance(graphs, Graphs):
            return graphs
        graphs = list(graphs)
        outputs = graphs[0].outputs if graphs else 1
        if any(graph.outputs != outputs for graph in graphs):
            raise ValueError("graphs of one batch must have the same number of outputs")
        return cls(
            outputs,
            _ends([len(graph.activations) for graph in graphs]),
            _ends([len(graph.genes) for graph in graphs]),
            np.concatenate([np.empty(0, np.uint8), *(graph.activations for graph in graphs)]),
            np.concatenate([np.empty(0, np.int16), *(graph.sources for graph in graphs)]),
            np.concatenate([np.empty(0, np.int16), *(graph.targets for graph in graphs)]),
            np.concatenate([np.empty(0, np.float32), *(graph.genes for graph in graphs)]),
        )

    def __len__(self) -> int:
        return len(self.nodes) - 1

    @overload
    def __getitem__(self, index: int) -> Graph: ...
    @overload
    def __getitem__(self, index: slice) -> list[Graph]: ...
    def __getitem__(self, index: int | slice) -> Graph | list[Graph]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        n = range(len(self))[index]
        first, last = self.edges[n], self.edges[n + 1]
        return Graph(
            self.outputs,
            self.activations[self.nodes[n] : self.nodes[n + 1]].copy(),
            self.sources[first:last].copy(),
            self.targets[first:last].copy(),
            self.genes[first:last].copy(),
        )


def _ends(lengths: list[int]) -> NDArray[np.int64]:
    ends = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=ends[1:])
    return ends


def are_genes(values: NDArray[np.float32]) -> bool:
    """Whether all of `values`, of any shape, lie on [0, 1] and none is a NaN or a negative zero."""
    # Among bit patterns read as unsigned, +0 to 1.0 come first and in order; everything else
    # (negative, -0, above 1, infinite, NaN) lies above.
    bits = np.ascontiguousarray(values).view(np.uint32)
    return not bool(np.any(bits > np.float32(1.0).view(np.uint32)))


def has_cycle(nodes: int, sources: Sequence[int], targets: Sequence[int]) -> bool:
    """Whether the connections hold a cycle (Kahn 1962: take nodes without a source away)."""
    waiting = [0] * nodes
    following: list[list[int]] = [[] for _ in range(nodes)]
    for source, target in zip(sources, targets, strict=True):
        following[source].append(target)
        waiting[target] += 1
    ready = [node for node in range(nodes) if not waiting[node]]
    taken = 0
    while ready:
        taken += 1
        for target in following[ready.pop()]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return taken != nodes
