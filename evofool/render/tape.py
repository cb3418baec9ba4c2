"""Graphs compiled to an instruction tape, the one thing every renderer interprets.

One instruction a node: sum the weighted inputs, add a constant, apply an activation. Nodes that
reach no output are left out, and the bias input is folded into the constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.render.graph import Graph, Graphs

PLANES = 3
"""Slots 0, 1, 2 of a tape hold x, y and the radius."""


@dataclass(frozen=True, slots=True)
class Tapes:
    """The tapes of a batch of N graphs with M nodes and K connections left, one after another.

    Tape n is the nodes ``nodes[n]`` to ``nodes[n + 1]``. Its j-th node reads slots below
    ``3 + j`` of the same tape and writes slot ``3 + j``; its last `outputs` nodes are the output
    channels in order. Node m reads the entries ``edges[m]`` to ``edges[m + 1]`` of `slots` and
    `weights`::

        value = activation(constant + sum of weight * slot)

    Attributes:
        outputs: channels of each graph.
        nodes: (N + 1,) int32.
        codes: (M,) uint8, indices into `evofool.render.graph.ACTIVATIONS`.
        constants: (M,) float32, what the bias input adds.
        edges: (M + 1,) int32.
        slots: (K,) int32.
        weights: (K,) float32 on [-10, 10].
    """

    outputs: int
    nodes: NDArray[np.int32]
    codes: NDArray[np.uint8]
    constants: NDArray[np.float32]
    edges: NDArray[np.int32]
    slots: NDArray[np.int32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.nodes) - 1

    @property
    def rows(self) -> int:
        """Slots the longest tape needs."""
        return PLANES + (int(np.diff(self.nodes).max()) if len(self) else 0)


def compile_tapes(graphs: Sequence[Graph]) -> Tapes:
    """The tapes of `graphs`, which must be acyclic and have the same number of outputs.

    Raises:
        ValueError: the graphs differ in their number of outputs.
    """
    batch = Graphs.of(graphs)
    outputs = batch.outputs
    node_counts = np.diff(batch.nodes).astype(np.int32)
    edge_counts = np.diff(batch.edges).astype(np.int32)
    n_nodes, n_edges = int(node_counts.sum()), int(edge_counts.sum())
    nodes = np.zeros(len(batch) + 1, dtype=np.int32)
    codes = np.empty(n_nodes, dtype=np.uint8)
    constants = np.empty(n_nodes, dtype=np.float32)
    edges = np.zeros(n_nodes + 1, dtype=np.int32)
    slots = np.empty(n_edges, dtype=np.int32)
    weights = np.empty(n_edges, dtype=np.float32)
    if len(batch):
        _compile(
            outputs,
            [
                node_counts,
                edge_counts,
                batch.activations,
                batch.sources,
                batch.targets,
                batch.genes,
            ],
            [nodes, codes, constants, edges, slots, weights],
            np.empty((4, 1 + int(node_counts.max())), dtype=np.int32),
        )
    kept, read = int(nodes[-1]), int(edges[nodes[-1]])
    return Tapes(
        outputs,
        nodes,
        codes[:kept],
        constants[:kept],
        edges[: kept + 1],
        slots[:read],
        weights[:read],
    )


def _compile(
    outputs: int,
    graphs: list[NDArray[Any]],
    tapes: list[NDArray[Any]],
    scratch: NDArray[np.int32],
) -> None:
    """Writes `tapes`; see `compile_batch` for what the arrays are."""
    from evofool.render.compiler import compile_batch, compiled

    if compiled is not None:
        compiled(outputs, *graphs, *tapes, scratch)
        return
    lists = [array.tolist() for array in (*graphs, *tapes, scratch)]
    compile_batch(outputs, *lists)
    for array, items in zip(tapes, lists[len(graphs) :], strict=False):
        array[:] = items
