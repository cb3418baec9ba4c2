"""Experiments whose works tests send to Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOYS = Path(__file__).parents[1] / "toys"


def attacks(budget: int | None = 300, **sections: Any) -> dict[str, Any]:
    return {
        "kind": "attack",
        "classifier": f"{TOYS / 'linear.py'}:victim",
        "images": {"noise": "uniform", "count": 12},
        "attacks": [
            {"name": "pgd", "eps": "24/255", "step_size": "1/255", "steps": 30, "targets": "next"},
            {"name": "fgsm", "eps": "4/255"},
            {"name": "square", "eps": "8/255", "queries": 25},
            "deepfool",
        ],
        "scoring": {"batch": 8, "workers": 1, "engine": "torch", "budget": budget},
        "chunk": 4,
        "seed": 3,
        **sections,
    }


def search(**sections: Any) -> dict[str, Any]:
    return {
        "kind": "search",
        "victims": ["mnist-lenet"],
        "variants": ["direct", {"name": "small", "encoding": "cppn"}],
        "evaluations": 60,
        "initial": 20,
        "children": 20,
        "seeds": [1, 2],
        **sections,
    }
