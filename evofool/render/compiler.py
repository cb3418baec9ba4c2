"""The compiler of graphs to tapes, through numba where there is one.

In Python it costs more than the rendering does on a CPU, but a GPU needs nothing else of numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_GRAPHS = "i8, i4[::1], i4[::1], u1[::1], i2[::1], i2[::1], f4[::1]"
_TAPES = "i4[::1], u1[::1], f4[::1], i4[::1], i4[::1], f4[::1]"


def compile_batch(
    outputs: Any,
    node_counts: Any,
    edge_counts: Any,
    activations: Any,
    sources: Any,
    targets: Any,
    genes: Any,
    nodes: Any,
    codes: Any,
    constants: Any,
    edges: Any,
    slots: Any,
    weights: Any,
    scratch: Any,
) -> None:
    """Graphs, one after another, to tapes (`evofool.render.tape.Tapes`).

    A depth-first walk from the outputs along the connections, writing a node when all it reads is
    written, gives a topological order and leaves dead nodes out. The first seven arguments are
    those of N graphs, then come the arrays of the tapes, which are written. Numba takes arrays;
    plain Python needs lists in their place, whose numbers are computed with in float64 as numba
    does (elements of float32 arrays would not be).

    Args:
        outputs: of each graph.
        node_counts: int32 (N,), nodes of each graph, inputs aside.
        edge_counts: int32 (N,), connections of each graph.
        activations: uint8, those of all graphs (`evofool.render.graph.Graph`) one after another.
        sources: int16, likewise.
        targets: int16, likewise.
        genes: float32, likewise.
        nodes: see `Tapes`; as long as the graphs need if nothing is left out, like all that follow.
        codes: see `Tapes`.
        constants: see `Tapes`.
        edges: see `Tapes`.
        slots: see `Tapes`.
        weights: see `Tapes`.
        scratch: int32 4 x (1 + nodes of the largest graph, inputs aside).
    """
    slot, begin, position, stack = scratch[0], scratch[1], scratch[2], scratch[3]
    node_base, edge_base, written, read = 0, 0, 0, 0
    for n in range(len(node_counts)):
        count, connections = node_counts[n], edge_counts[n]
        edge = edge_base
        for node in range(count):  # connections are sorted by target
            slot[node] = -1
            begin[node] = edge
            while edge < edge_base + connections and targets[edge] - 4 == node:
                edge += 1
        begin[count] = edge
        first = written
        for output in range(2 * outputs):
            # First whatever the outputs read, then the outputs, so that they come last.
            root = output % outputs
            ending = output >= outputs
            stack[0], depth = root, 1
            position[root] = begin[root + 1] if ending else begin[root]
            while depth > 0:
                node = stack[depth - 1]
                if position[node] < begin[node + 1]:
                    source = sources[position[node]] - 4
                    position[node] += 1
                    if source >= 0 and slot[source] < 0:
                        stack[depth] = source
                        position[source] = begin[source]
                        depth += 1
                    continue
                depth -= 1
                if node < outputs and not ending:
                    continue
                constant = 0.0
                for e in range(begin[node], begin[node + 1]):
                    weight = 20.0 * genes[e] - 10.0
                    source = sources[e]
                    if source == 3:
                        constant += weight
                        continue
                    slots[read] = source if source < 3 else slot[source - 4]
                    weights[read] = weight
                    read += 1
                codes[written] = activations[node_base + node]
                constants[written] = constant
                slot[node] = 3 + written - first
                written += 1
                edges[written] = read
        nodes[n + 1] = written
        node_base += count
        edge_base += connections


compiled: Callable[..., None] | None = None
"""`compile_batch` through numba, which takes arrays; None where numba cannot be imported."""
try:
    from evofool.jit import jit
except ImportError:
    pass
else:
    compiled = jit(f"void({_GRAPHS}, {_TAPES}, i4[:,::1])")(compile_batch)
