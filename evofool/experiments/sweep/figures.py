"""What a run of a sweep comes to, in a few figures: read from its ``summary.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

QUERIES = "queries an image"
"""Of the attacks; all other figures are on [0, 1]."""


@dataclass(frozen=True)
class Headline:
    """The figure that a sweep of one kind of run is about; the others stand in its tables.

    Attributes:
        name: of it, as in `figures`.
        about: in a sentence.
        odds: whether it is a confidence, which is drawn as log-odds.
    """

    name: str
    about: str
    odds: bool = False


HEADLINES: Mapping[str, Headline] = {
    "evolve": Headline(
        "median confidence", "the median over all classes of the champion's confidence", True
    ),
    "attack": Headline("success", "the share of images that are fooled, mean over all attacks"),
    "defend": Headline("largest error", "the defended net's error rate under its worst threat"),
}


def figures(kind: str, summary: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of a run, by name, the headline first; None where there is none.

    Args:
        kind: of the run.
        summary: the content of its ``summary.json``.
    """
    return _OF[kind](summary)


def _of_campaign(summary: Mapping[str, Any]) -> dict[str, float | None]:
    cells = int(summary["cells"])
    return {
        "median confidence": float(summary["confidence"]["median"]),
        "share at .99": float(summary["share_at"]["0.99"]),
        "cells won": int(summary["cells_won"]) / cells if cells else None,
    }


def _of_attacks(summary: Mapping[str, Any]) -> dict[str, float | None]:
    rates = [
        (str(line["attack"]), line["success_png"]["rate"])
        for line in summary["attacks"]
        if line["success_png"]["rate"] is not None
    ]
    found: dict[str, float | None] = {
        "success": sum(rate for _, rate in rates) / len(rates) if rates else None
    }
    if len(summary["attacks"]) > 1:
        for number, (name, rate) in enumerate(rates, 1):
            key = f"success of {name}"
            found[key if key not in found else f"{key} ({number})"] = rate
    queries, attacked = int(summary["queries"]), int(summary["attacked"])
    found[QUERIES] = queries / attacked if attacked else None
    return found


def _of_defense(summary: Mapping[str, Any]) -> dict[str, float | None]:
    own = [line for line in summary["threats"] if line["net"] == "defended"]
    threats = [line["rate"] for line in own if line["group"] != "clean"]
    clean = [line["rate"] for line in own if line["group"] == "clean"]
    curves = [c["median_confidence"] for c in summary["evolution"] if c["net"] == "defended"]
    found: dict[str, float | None] = {
        "largest error": max(threats, default=None),
        "clean error": clean[0] if clean else None,
    }
    if curves:
        found["evolved confidence"] = max(curves)
    return found


_OF: Mapping[str, Callable[[Mapping[str, Any]], dict[str, float | None]]] = {
    "evolve": _of_campaign,
    "attack": _of_attacks,
    "defend": _of_defense,
}
