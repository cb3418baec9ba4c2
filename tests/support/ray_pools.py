"""What tests of Ray share: the pools that a campaign opens, and a campaign that can be spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import evofool.scoring.ray as spread_scoring
from evofool.scoring.ray import RayPool

TOYS = Path(__file__).parents[1] / "toys"


def watched_pools(monkeypatch: pytest.MonkeyPatch) -> list[RayPool]:
    """The pools that campaigns of this process open from now on."""
    pools: list[RayPool] = []

    class Watched(RayPool):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            pools.append(self)

    monkeypatch.setattr(spread_scoring, "RayPool", Watched)
    return pools


def linear_campaign(**sections: Any) -> dict[str, Any]:
    """A white-box toy and an encoding, both from a user's file: 20 + 12 x 20 pictures."""
    return {
        "classifier": {"name": f"{TOYS / 'linear.py'}:victim"},
        "encoding": {"name": f"{TOYS / 'exact.py'}:Bytes"},
        "evolution": {"initial": 20, "children": 20},
        "stop": {"generations": 12},
        "scoring": {"batch": 8, "workers": 2},
        "seed": 3,
        **sections,
    }


def over_ray(config: dict[str, Any], **ray: Any) -> dict[str, Any]:
    """`config`, spread."""
    return {**config, "scoring": {**config["scoring"], "ray": ray}}
