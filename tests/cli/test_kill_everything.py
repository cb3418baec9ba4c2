"""SIGKILL at random moments of every kind of run: it ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from evofool.images import read_picture

TOYS = Path(__file__).resolve().parents[1] / "toys"
KILLS = 5
"""Of each kind."""
LINEAR = f"{TOYS / 'linear.py'}:victim"
BYTES = f"{TOYS / 'exact.py'}:Bytes"
EVOLUTION = {"encodings": ["direct"], "initial": 12, "children": 12, "generations": 3, "seeds": [1]}
DIGITS = {"dataset": "mnist-sample", "limit": 16}
CAMPAIGN = {
    "classifier": LINEAR,
    "encoding": BYTES,
    "evolution": {"initial": 20, "children": 20},
    "stop": {"generations": 20},
    "scoring": {"batch": 8, "workers": 1},
}
CONFIGS: dict[str, dict[str, Any]] = {
    "evolve": {
        **CAMPAIGN,
        "classifier": f"{TOYS / 'exact.py'}:victim",
        "stop": {"generations": 60},
        "scoring": {"batch": 8, "workers": 2},
    },
    "attack": {
        "kind": "attack",
        "classifier": LINEAR,
        "images": {"noise": "uniform", "count": 24},
        "attacks": [
            {"name": "pgd", "eps": "16/255", "targets": "all", "steps": 10, "step_size": "1/255"}
        ],
        "scoring": {"batch": 4, "workers": 1},
        "chunk": 4,
    },
    "compare": {
        "kind": "compare",
        "victims": [LINEAR],
        "methods": [
            {"evolution": "direct", "initial": 8, "children": 8},
            {"attack": "gradient-ascent", "step_size": 0.05},
            {"attack": "square"},
            {"random": "direct"},
            {"noise": "uniform"},
        ],
        "budget": 700,
        "seeds": [1, 2],
        "scoring": {"batch": 16},
    },
    "defend": {
        "kind": "defend",
        "base": "mnist-lenet",
        "defense": {"name": "median", "size": 3},
        "data": {**DIGITS, "start": 20},
        "threats": {
            "eps": 0.2, "steps": 4, "restarts": 1, "black_images": 5, "square_queries": 20,
            "substitute_initial": 8, "substitute_rounds": 1, "random_points": 3,
        },
        "evolution": {**EVOLUTION, "encodings": ["cppn"]},
    },
    "transfer": {
        "kind": "transfer",
        "sources": ["mnist-lenet"],
        "targets": ["mnist-lenet"],
        "evolution": EVOLUTION,
        "noise": 20,
        "images": DIGITS,
        "attacks": [{"name": "step-ll", "eps": 0.3}, {"name": "r-step-ll", "eps": 0.3}],
    },
    "retrain": {
        "kind": "retrain",
        "base": "mnist-lenet",
        "data": {**DIGITS, "train": "test", "train_limit": 40},
        "rounds": 2,
        "trained_on": ["direct"],
        "images": {"first": 20, "more": 10},
        "training": {"epochs": 2, "batch": 32, "weight": 2},
        "evolution": EVOLUTION,
        "ascent": {"images": 4, "steps": 3},
        "device": "cpu",
    },
    "sweep": {
        "kind": "sweep",
        "base": CAMPAIGN,
        "grid": {"evolution.children": [8, 12]},
        "seeds": [1, 2],
    },
    "search": {
        "kind": "search",
        "victims": [LINEAR],
        "variants": ["cppn", "direct"],
        "evaluations": 120,
        "initial": 20,
        "children": 20,
        "seeds": [1, 2],
        "medians": [0.3, 0.9],
        "scoring": {"batch": 10, "workers": 1},
    },
    "explore": {
        "kind": "explore",
        "classifier": "mnist-lenet",
        "evolution": EVOLUTION,
        "images": DIGITS,
        "repetition": {"windows": [0.5, 1.0], "stride": 14},
        "decision_map": {"classes": [1], "side": 9, "attack": {"name": "pgd", "eps": 0.3}},
        "embedding": {"natural": 10},
        "goal_switching": {"bins": 3},
    },
    "signs": {
        "kind": "signs",
        "nets": [f"{TOYS / 'signs.py'}:victim"],
        "rows": ["logo", "custom"],
        "pictures": 3,
        "attacks": [
            {"name": "sign-embedding", "steps": 15, "search_steps": 2, "confidence": 0.6},
            {"name": "sign-evolution", "confidence": 0.6},
        ],
        "transforms": {"k": 2, "brightness": 0.1},
        "held_back": 4,
        "sides": [32, 16],
        "angles": [0, 30],
    },
}  # fmt: skip
TIMES = {
    *("seconds", "training_seconds", "forward_seconds", "gradient_seconds"),
    *("ratio", "images_per_second"),
}
"""Columns that are times, or stand for a time: `ratio` is one time by another."""
NAMES = {"run", "run_id", "sha256"}
"""Columns that differ because each run has a name of its own, also inside its pictures."""


def ended(run: Path) -> dict[str, Any]:
    """All tables of a run and of the runs in it, the pixels of its pictures, and its nets."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            found[name] = [{k: v for k, v in r.items() if k not in TIMES | NAMES} for r in rows]
        elif path.name == "summary.json":
            digest = json.loads(path.read_text()).get("archive_digest")
            found[name] = digest
        elif path.suffix == ".png":
            picture = read_picture(path)
            found[name] = (picture.size, picture.tobytes())
        elif path.suffix == ".safetensors":
            found[name] = path.read_bytes()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_it_ends_the_same(evofool: Any, start_evofool: Any, tmp_path: Path, kind: str) -> None:
    config, whole, cut = tmp_path / "toy.yaml", tmp_path / "whole", tmp_path / "cut"
    config.write_text(yaml.safe_dump(CONFIGS[kind]))
    began = time.monotonic()
    done = evofool("run", config, "--out", whole, TOY_SECONDS_A_BATCH="0.002")
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - began
    expected = ended(whole)
    assert any(name.endswith(".csv") for name in expected)
    rng = random.Random(kind)
    kills, through = 0, False
    while kills < KILLS or not through:
        made = (cut / "manifest.json").is_file()
        command = ["resume", cut] if made else ["run", config, "--out", cut]
        process = start_evofool(*command, TOY_SECONDS_A_BATCH="0.002")
        if kills < KILLS:
            time.sleep(rng.uniform(0, seconds))  # the moment is random on purpose
            with contextlib.suppress(ProcessLookupError):  # it was through already
                process.send_signal(signal.SIGKILL)
        done = process.end()
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        kills += done.returncode == -signal.SIGKILL
        through = done.returncode == 0
        if through:
            assert ended(cut) == expected
            if kills < KILLS:
                shutil.rmtree(cut)  # the next kills are of a run anew
    done = evofool("verify", cut)
    assert done.returncode == 0, done.stdout + done.stderr
