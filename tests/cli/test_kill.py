"""SIGKILL at random moments: what is resumed ends as what was never interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evofool.evolution.status import status
from evofool.evolution.verify import verify

TOYS = Path(__file__).parents[1] / "toys" / "exact.py"
KILLS = 20

CONFIG = f"""
classifier: "{TOYS}:victim"
encoding: {{name: "{TOYS}:Bytes", swap: true}}
evolution: {{initial: 20, children: 20}}
stop: {{generations: 2000}}
scoring: {{batch: 8, workers: 2}}
seed: 11
"""


def _start(*arguments: str, seconds_a_batch: float) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TOY_SECONDS_A_BATCH": str(seconds_a_batch)}
    return subprocess.Popen(
        [sys.executable, "-m", "evofool", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _run(*arguments: str) -> None:
    process = _start(*arguments, seconds_a_batch=0)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output.decode()


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    config = tmp_path / "toy.yaml"
    config.write_text(CONFIG)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    _run("evolve", str(config), "--out", str(whole))
    rng = random.Random(20)
    kills = midway = 0
    while kills < KILLS:
        made = (cut / "manifest.json").is_file()
        before = status(cut)["generations"] if made else 0
        command = ["resume", str(cut)] if made else ["evolve", str(config), "--out", str(cut)]
        # 20 children are 3 batches: 2000 generations of at least 16 ms, longer than all waits
        process = _start(*command, seconds_a_batch=0.008)
        time.sleep(rng.uniform(0.2, 1.6))  # the moment is random on purpose
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        kills += 1
        if (cut / "manifest.json").is_file():
            midway += status(cut)["generations"] > before
    assert midway >= 3, "most kills came before anything was stored: widen the wait"
    _run("resume", str(cut))
    assert status(cut)["archive_digest"] == status(whole)["archive_digest"]
    assert status(cut)["evaluations"] == status(whole)["evaluations"]
    assert all(check.ok for check in verify(cut))
