"""SIGKILL at random moments of campaigns and attacks."""

from __future__ import annotations

import contextlib
import csv
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

TOYS = Path(__file__).resolve().parents[1] / "toys"
KILLS = 13
LINEAR = f"{TOYS / 'linear.py'}:victim"
CONFIGS = {
    "evolve": f"""classifier: "{TOYS / "exact.py"}:victim"
encoding: "{TOYS / "exact.py"}:Bytes"
evolution: {{initial: 20, children: 20}}
stop: {{generations: 150}}
scoring: {{batch: 8, workers: 2}}
""",
    "attack": f"""kind: attack
classifier: "{LINEAR}"
images: {{noise: uniform, count: 24}}
attacks: [{{name: pgd, eps: 16/255, targets: all, steps: 10, step_size: 1/255}}]
scoring: {{batch: 4, workers: 1}}
chunk: 4
""",
}
IGNORED = ("seconds", "run_id", "sha256", "at", "images_per_second")


def tables(run: Path) -> dict[str, list[dict[str, str]]]:
    """The results, without what tells of the time."""
    found = {}
    for path in sorted(run.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found[path.name] = [{k: v for k, v in r.items() if k not in IGNORED} for r in rows]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["evolve", "attack"])
def test_it_ends_the_same(evofool: Any, start_evofool: Any, tmp_path: Path, kind: str) -> None:
    config, whole, cut = tmp_path / "toy.yaml", tmp_path / "whole", tmp_path / "cut"
    config.write_text(CONFIGS[kind])
    began = time.monotonic()
    done = evofool("run", config, "--out", whole, TOY_SECONDS_A_BATCH="0.002")
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - began
    rng = random.Random(kind)
    kills = 0
    for _ in range(KILLS):
        made = (cut / "manifest.json").is_file()
        command = ["resume", cut] if made else ["run", config, "--out", cut]
        process = start_evofool(*command, TOY_SECONDS_A_BATCH="0.002")
        time.sleep(rng.uniform(0, seconds))  # the moment is random on purpose
        with contextlib.suppress(ProcessLookupError):  # it was through already
            process.send_signal(signal.SIGKILL)
        code = process.end().returncode
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
    assert kills > KILLS / 3
    made = (cut / "manifest.json").is_file()
    done = evofool(*(["resume", cut] if made else ["run", config, "--out", cut]))
    assert done.returncode == 0, done.stderr
    assert tables(cut) == tables(whole)
    assert tables(whole)
    assert evofool("verify", cut).returncode == 0
