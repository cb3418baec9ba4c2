"""A campaign that takes a blink, and sweeps over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOYS = Path(__file__).parents[1] / "toys"


def campaign(**sections: Any) -> dict[str, Any]:
    return {
        "classifier": f"{TOYS / 'linear.py'}:victim",
        "encoding": f"{TOYS / 'exact.py'}:Bytes",
        "evolution": {"initial": 10, "children": 10},
        "stop": {"generations": 2},
        "scoring": {"batch": 8, "workers": 1},
        **sections,
    }


def sweep(**sections: Any) -> dict[str, Any]:
    return {"kind": "sweep", "base": campaign(), "seeds": [1, 2], **sections}
