"""P1 and P2 of Nguyen et al. 2015 on the very LeNet of that paper, at 200 generations of 200.

Needs its weights: $EVOFOOL_DATA/weights/mnist_lenet_nguyen2015.safetensors.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evofool.config import load_campaign
from evofool.evolution.campaign import evolve

VICTIM = Path(__file__).parents[1] / "victims" / "nguyen_lenet.py"

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif("EVOFOOL_DATA" not in os.environ, reason="EVOFOOL_DATA is not set"),
]


def _run(config: str, victim: str, seed: int, out: Path, *overrides: str) -> dict[str, float]:
    changes = [f"classifier={VICTIM}:{victim}", "stop.generations=200", *overrides]
    summary = evolve(load_campaign(f"papers/nguyen2015/{config}", changes, seed), out).summary
    return {"median": summary["confidence"]["median"], "share": summary["share_at"]["0.9999"]}


@pytest.mark.parametrize("victim", ["without_mean", "with_mean"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p1_direct_fools_nine_digits_of_ten(victim: str, seed: int, tmp_path: Path) -> None:
    found = _run("mnist-direct", victim, seed, tmp_path / "run")
    assert found["share"] >= 0.9, found


@pytest.mark.parametrize("victim", ["without_mean", "with_mean"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p2_cppn_fools_most_digits(victim: str, seed: int, tmp_path: Path) -> None:
    found = _run("mnist-cppn", victim, seed, tmp_path / "run")
    assert found["median"] >= 0.999, found
