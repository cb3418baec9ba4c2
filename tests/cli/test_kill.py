"""SIGKILL at random moments: what is resumed ends as what was never interrupted."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from evofool.evolution.status import status
from evofool.evolution.verify import verify

TOYS = Path(__file__).parents[1] / "toys" / "exact.py"
KILLS = 10
GENERATIONS = 2000
BATCHES = 500
"""After so many batches the toy waits: 20 children are 3 batches, so that all kills together come
before the end, however late the parent has the processor."""

CONFIG = f"""
classifier: "{TOYS}:victim"
encoding: {{name: "{TOYS}:Bytes", swap: true}}
evolution: {{initial: 20, children: 20}}
stop: {{generations: {GENERATIONS}}}
scoring: {{batch: 8, workers: 2}}
seed: 11
"""


def _paced(hold: Path) -> dict[str, str]:
    """Makes the toy slow, and has it wait after `BATCHES` for as long as `hold` is there."""
    hold.touch()
    return {"TOY_SECONDS_A_BATCH": "0.004", "TOY_BATCHES": str(BATCHES), "TOY_HOLD": str(hold)}


def _generations(run: Path) -> int:
    return int(status(run)["generations"]) if (run / "manifest.json").is_file() else 0


@pytest.mark.slow
def test_kills_at_random_moments(
    evofool: Any, start_evofool: Any, tmp_path: Path, until: Any
) -> None:
    config = tmp_path / "toy.yaml"
    config.write_text(CONFIG)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    done = evofool("evolve", config, "--out", whole)
    assert done.returncode == 0, done.stderr
    rng = random.Random(20)
    for _ in range(KILLS):
        made = (cut / "manifest.json").is_file()
        before = _generations(cut)
        command = ["resume", cut] if made else ["evolve", config, "--out", cut]
        process = start_evofool(*command, **_paced(tmp_path / "hold"))
        until(process, lambda before=before: _generations(cut) > before)  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.5))  # the moment is random on purpose
        process.send_signal(signal.SIGKILL)
        assert process.end().returncode == -signal.SIGKILL, "it ended before it was killed"
    assert _generations(cut) < GENERATIONS, "it was through before the last kill"
    done = evofool("resume", cut)
    assert done.returncode == 0, done.stderr
    assert status(cut)["archive_digest"] == status(whole)["archive_digest"]
    assert status(cut)["evaluations"] == status(whole)["evaluations"]
    assert all(check.ok for check in verify(cut))
