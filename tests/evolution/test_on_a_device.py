"""Campaigns drawn by Triton: in its interpreter, and on a CUDA device where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import load_classifier
from evofool.errors import Interrupted
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.verify import verify
from evofool.scoring import Scorer

INTERPRETED = """
import json
import sys
from evofool.evolution import drawing
from evofool.evolution.campaign import evolve
from evofool.evolution.verify import verify
from evofool.render import tensors

drawing.accelerated = lambda device: True
tensors.tensor_backend = lambda device: "triton"
evolve(json.loads(sys.argv[1]), sys.argv[2])
print(json.dumps({check.name: check.ok for check in verify(sys.argv[2])}))
"""


def _sections(**others: Any) -> dict[str, Any]:
    return {
        "classifier": "mnist-lenet",
        "encoding": {"name": "cppn"},
        "evolution": {"initial": 20, "children": 20},
        "stop": {"generations": 2},
        "scoring": {"engine": "torch", "device": "cpu", "batch": 10, "workers": 2},
        **others,
    }


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
def test_a_campaign_in_tritons_interpreter(tmp_path: Path) -> None:
    run = tmp_path / "run"
    # the interpreter takes a tenth of a second for each picture
    few = _sections(evolution={"initial": 8, "children": 8}, stop={"generations": 1})
    command = [sys.executable, "-c", INTERPRETED, json.dumps(few), str(run)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert all(there.values()), there
    assert "renderer" not in there
    assert json.loads((run / "manifest.json").read_text())["renderer"] == "triton"
    here = {check.name: check.ok for check in verify(run)}
    assert here.pop("renderer") is None
    assert all(here.values()), here


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
@pytest.mark.parametrize("encoding", ["cppn", "direct", "layers"])
def test_a_campaign_on_cuda(tmp_path: Path, encoding: str, precision: str) -> None:
    scoring = {"device": "cuda", "batch": 20, "workers": 3, "precision": precision}
    made = _sections(
        encoding={"name": encoding}, evolution={"initial": 60, "children": 60}, scoring=scoring
    )
    made["stop"] = {"generations": 8}
    whole = evolve(made, tmp_path / "whole").summary
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 14

    with pytest.raises(Interrupted):
        evolve(made, tmp_path / "cut", should_stop=stop)
    result = resume(tmp_path / "cut").summary
    for key in ("archive_digest", "forward_images", "confidence"):
        assert result[key] == whole[key], key
    checks = {check.name: check for check in verify(tmp_path / "cut")}
    assert all(check.ok for check in checks.values()), checks


@pytest.mark.gpu
def test_what_is_in_use_on_cuda() -> None:
    victim = load_classifier("imagenet-efficientnet-lite0")
    with Scorer(victim, device="cuda", batch=20, pad=True) as scorer:
        assert scorer.way == "batch norm folded, channels last, recorded"
