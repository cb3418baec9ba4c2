"""Stacks in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evofool.render.layers.stack import CHARTS, FIELDS, GENES, MASKS, Stack

_NUMBERS = ("no", "one", "two", "three", "four")
_CHARTS = {"plane": "", "polar": " around a point", "spiral": " wound into a spiral"}
_MASKS = {
    "none": "everywhere",
    "disc": "in a disc",
    "square": "in a square",
    "noise": "in patches",
    "half": "on one side of a line",
    "ring": "in a ring",
}

_EDGES = {"shadow": "a shadow", "outline": "an outline"}


def field_words(kinds: Sequence[int], named: Mapping[str, float]) -> str:
    """What a field shows, by the indices of its chart and field and its genes by name."""
    warped = ", warped" if named["warp"] > 0.5 else ""
    return f"{FIELDS[kinds[1]]}{_CHARTS[CHARTS[kinds[0]]]}{warped}"


def described(stack: Stack) -> list[dict[str, Any]]:
    """What each layer is, the lowest first, as JSON values: words, kinds, and genes by name."""
    layers = []
    for kinds, genes in zip(stack.kinds.tolist(), stack.genes.tolist(), strict=True):
        mask = MASKS[kinds[2]]
        named = dict(zip(GENES, genes, strict=True))
        colours = int(2 + named["colours"] * 2.999)
        changes = ", mirrored" if named["fold"] > 0.7 else ""
        words = (
            f"{field_words(kinds, named)}{changes}, in {_NUMBERS[colours]} colours, {_MASKS[mask]}"
        )
        edges = [words for gene, words in _EDGES.items() if named[gene] > 0.5]
        if edges and mask != "none":
            words += f" with {' and '.join(edges)}"
        layers.append(
            {
                "words": words,
                "chart": CHARTS[kinds[0]],
                "field": FIELDS[kinds[1]],
                "mask": mask,
                "genes": {name: round(gene, 6) for name, gene in named.items()},
            }
        )
    return layers
