"""The graph of a CPPN as an SVG: inputs left, outputs right, each node with its function drawn.

Made for an ``<img>``: it has no script and follows the page's light or dark scheme. Weights are
told apart by sign (negative ones are dashed) and by size (width), never by colour alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from evofool.text import bare, counted

MAX_NODES, MAX_EDGES = 400, 2000
"""A larger graph is a tangle: it is not drawn."""

_R = 15.0
_GAP_X, _GAP_Y, _MARGIN = 92.0, 46.0, 30.0
_STYLE = """
svg{color-scheme:light dark}
text{font:11px ui-sans-serif,system-ui,sans-serif;fill:#5d584f}
.n{fill:#fff;stroke:#8d867a}.i{fill:#eeebe4}.f{fill:none;stroke:#1d1b18;stroke-width:1.6}
.o{stroke:#1d1b18;stroke-width:1.8}.p{stroke:#97403f}.m{stroke:#2f6690;stroke-dasharray:5 3}
.e{fill:none;stroke-linecap:round}.d{opacity:.3}
@media (prefers-color-scheme:dark){text{fill:#b9b3a9}
.n{fill:#232126;stroke:#7b756c}.i{fill:#323036}.f{stroke:#f1eee9}.o{stroke:#f1eee9}
.p{stroke:#e3ab62}.m{stroke:#7fb4dd}}
"""


def _curve(function: Any) -> str:
    points = (
        f"{x / 10 * _R * 0.62:.1f} {-function(x / 10 * 3) * _R * 0.5:.1f}" for x in range(-10, 11)
    )
    return "M" + "L".join(points)


_CURVES = {
    "sine": _curve(lambda p: math.sin(p * 1.25)),
    "sigmoid": _curve(lambda p: 2 / (1 + math.exp(-2 * p)) - 1),
    "gaussian": _curve(lambda p: 2 * math.exp(-p * p) - 1),
    "linear": _curve(lambda p: p / 3),
    "tanh5": _curve(lambda p: math.tanh(5 * p)),
}


def graph_svg(described: Mapping[str, Any], outputs: Sequence[str] = ()) -> bytes | None:
    """The graph that `Encoding.describe` gave, or None where there is none that can be drawn.

    Args:
        described: with ``nodes`` ``{id, kind, name | activation}`` and ``edges``
            ``{source, target, weight}``.
        outputs: what the output nodes mean, in order.
    """
    try:
        nodes = {int(node["id"]): dict(node) for node in described["nodes"]}
        edges = [
            (int(edge["source"]), int(edge["target"]), float(edge["weight"]))
            for edge in described["edges"]
        ]
    except (KeyError, TypeError, ValueError):
        return None
    ends = {end for source, target, _ in edges for end in (source, target)}
    finite = all(math.isfinite(weight) for _, _, weight in edges)
    if not 0 < len(nodes) <= MAX_NODES or len(edges) > MAX_EDGES or not ends <= nodes.keys():
        return None
    layer = _layers(nodes, edges)
    if layer is None or not finite:
        return None
    places, width, height = _places(nodes, edges, layer)
    return _draw(nodes, edges, places, width, height, outputs)


def summary(described: Mapping[str, Any]) -> str:
    """A genome in a few words, such as ``12 hidden nodes, 40 connections: 6 sine, 3 linear``."""
    hidden, connections = described.get("hidden"), described.get("connections")
    if isinstance(hidden, int) and isinstance(connections, int):
        text = f"{counted(hidden, 'hidden node')}, {counted(connections, 'connection')}"
        counts = described.get("activations")
        if isinstance(counts, Mapping):
            text += ": " + ", ".join(f"{count} {name}" for name, count in counts.items())
        return bare(text[:400])
    layers = described.get("layers")
    if isinstance(layers, list):
        return bare(f"{counted(len(layers), 'layer')} over a ground")
    flat = (
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}"
        for key, value in described.items()
        if isinstance(value, int | float | str) and not isinstance(value, bool)
    )
    return bare(", ".join(flat)[:400])


def _layers(nodes: Mapping[int, Any], edges: Sequence[tuple[int, int, float]]) -> Any:
    """The longest path from an input to each node; outputs come last. None if there is a cycle."""
    before: dict[int, list[int]] = defaultdict(list)
    after: dict[int, list[int]] = defaultdict(list)
    for source, target, _ in edges:
        before[target].append(source)
        after[source].append(target)
    waiting = {node: len(before[node]) for node in nodes}
    ready = [node for node in nodes if not waiting[node]]
    layer = dict.fromkeys(nodes, 0)
    taken = 0
    while ready:
        node = ready.pop()
        taken += 1
        for target in after[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    if taken != len(nodes):
        return None
    for node, about in nodes.items():
        if about.get("kind") == "input":
            layer[node] = 0
        elif layer[node] == 0:
            layer[node] = 1
    last = max((layer[n] for n in nodes if nodes[n].get("kind") != "output"), default=0) + 1
    for node, about in nodes.items():
        if about.get("kind") == "output":
            layer[node] = last
    used = {value: position for position, value in enumerate(sorted(set(layer.values())))}
    return {node: used[value] for node, value in layer.items()}


def _places(
    nodes: Mapping[int, Any], edges: Sequence[tuple[int, int, float]], layer: Mapping[int, int]
) -> tuple[dict[int, tuple[float, float]], float, float]:
    columns: dict[int, list[int]] = defaultdict(list)
    for node in nodes:
        columns[layer[node]].append(node)
    near: dict[int, list[int]] = defaultdict(list)
    for source, target, _ in edges:
        near[source].append(target)
        near[target].append(source)
    fixed = {0, max(columns)}  # inputs and outputs keep their order
    height = {
        node: (rank + 0.5) / len(column)
        for column in columns.values()
        for rank, node in enumerate(column)
    }
    for _ in range(8):  # barycentres: a node goes where its neighbours are, for fewer crossings
        for index, column in columns.items():
            if index in fixed:
                continue
            centre = {
                n: sum(height[m] for m in near[n]) / len(near[n]) if near[n] else height[n]
                for n in column
            }
            column.sort(key=lambda n: (centre[n], n))
            for rank, node in enumerate(column):
                height[node] = (rank + 0.5) / len(column)
    tallest = max(len(column) for column in columns.values())
    full = max(tallest, 4) * _GAP_Y
    places = {
        node: (_MARGIN + 34 + layer[node] * _GAP_X, _MARGIN + height[node] * full) for node in nodes
    }
    return places, 2 * _MARGIN + 68 + max(columns) * _GAP_X, 2 * _MARGIN + full


def _draw(
    nodes: Mapping[int, Any],
    edges: Sequence[tuple[int, int, float]],
    places: Mapping[int, tuple[float, float]],
    width: float,
    height: float,
    outputs: Sequence[str],
) -> bytes:
    alive = {node for node, about in nodes.items() if about.get("kind") == "output"}
    for _ in nodes:  # what reaches no output is drawn faintly
        more = {source for source, target, _ in edges if target in alive} - alive
        if not more:
            break
        alive |= more
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}"><style>{_STYLE}</style>'
    ]
    largest = max((abs(weight) for _, _, weight in edges), default=1.0) or 1.0
    for source, target, weight in sorted(edges, key=lambda edge: abs(edge[2])):
        (x0, y0), (x1, y1) = places[source], places[target]
        bend = max(30.0, (x1 - x0) * 0.45)
        share = abs(weight) / largest
        kind = ("p" if weight >= 0 else "m") + ("" if target in alive else " d")
        parts.append(
            f'<path class="e {kind}" d="M{x0:.0f} {y0:.0f}C{x0 + bend:.0f} {y0:.0f} {x1 - bend:.0f}'
            f' {y1:.0f} {x1:.0f} {y1:.0f}" stroke-width="{0.5 + 2.7 * share:.1f}"'
            f' stroke-opacity="{0.25 + 0.65 * share:.2f}"/>'
        )
    names = iter(outputs)
    for node, about in nodes.items():
        x, y = places[node]
        kind = about.get("kind")
        faint = "" if node in alive else " d"
        style = {"input": "n i", "output": "n o"}.get(str(kind), "n")
        label, anchor, at = "", "middle", (0.0, _R + 12)
        if kind == "input":
            label, anchor, at = str(about.get("name", "")), "end", (-_R - 6, 4.0)
        elif kind == "output":
            label, anchor, at = next(names, ""), "start", (_R + 6, 4.0)
        parts.append(f'<g transform="translate({x:.0f} {y:.0f})" class="g{faint}">')
        activation = str(about.get("activation", ""))
        if activation:
            parts.append(f"<title>{_text(activation)}</title>")
        parts.append(f'<circle class="{style}" r="{_R:.0f}"/>')
        if activation in _CURVES:
            parts.append(f'<path class="f" d="{_CURVES[activation]}"/>')
        elif activation:
            label = label or activation
        if label:
            parts.append(
                f'<text x="{at[0]:.0f}" y="{at[1]:.0f}" text-anchor="{anchor}">'
                f"{_text(label)}</text>"
            )
        parts.append("</g>")
    parts.append("</svg>")
    return "".join(parts).encode()


def _text(text: str) -> str:
    return escape(bare(text[:40]))
