"""Runs of attacks and retraining go on with the config they were begun with, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evofool.attacks.campaign import attack
from evofool.config.loading import to_yaml
from evofool.errors import FolderError, Interrupted, UsageError
from evofool.experiments.begun import begun_with
from evofool.experiments.retrain_config import load_retraining
from evofool.experiments.runs import resume, status, verify
from evofool.gallery import build
from evofool.store import AttackFolder, RetrainFolder
from evofool.store.history import commands_of

TOYS = Path(__file__).parents[1] / "toys"
EVOLUTION = {"encodings": ["direct"], "initial": 8, "children": 8, "generations": 2}
VICTIM = {
    "name": "mnist-lenet",
    "digest": "0" * 64,
    "input_shape": [1, 28, 28],
    "labels": [str(i) for i in range(10)],
}
CONFIGS: dict[str, dict[str, Any]] = {
    "retrain": {
        "kind": "retrain",
        "base": "mnist-lenet",
        "data": {"dataset": "mnist-sample", "train": "test"},
        "images": {"first": 4, "more": 4},
        "evolution": {**EVOLUTION, "seeds": [1]},
        "seed": 3,
    },
}
KINDS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "retrain": (RetrainFolder, load_retraining),
}


def _edit(run: Path, key: str, value: object) -> None:
    path = run / "config.yaml"
    data = yaml.safe_load(path.read_text())
    *above, last = (int(part) if part.isdigit() else part for part in key.split("."))
    section = data
    for part in above:
        section = section[part]
    section[last] = value
    path.write_text(yaml.safe_dump(data))


def _refused(run: Path, key: str) -> str:
    with pytest.raises(FolderError) as info:
        resume(run)
    checks = {check.name: check for check in verify(run)}
    assert checks["config"].ok is False
    assert list(checks)[-1] == "config"  # nothing that it names was run
    message = str(info.value)
    assert message == checks["config"].detail
    assert f"config.yaml: was edited: {key} is" in message
    assert status(run)["kind"] == json.loads((run / "manifest.json").read_text())["kind"]
    return message


@pytest.mark.parametrize(
    ("kind", "key", "value", "both"),
    [
        ("retrain", "rounds", 6, "is 6, but the run was begun with 5"),
        ("retrain", "images.more", 5, "is 5, but the run was begun with 4"),
        ("retrain", "training.epochs", 2, "is 2, but the run was begun with 1"),
    ],
)
def test_an_edited_experiment_is_refused(
    tmp_path: Path, kind: str, key: str, value: object, both: str
) -> None:
    folder, load = KINDS[kind]
    config = load(CONFIGS[kind]).config
    manifest = {"kind": kind, "run_id": "r", "seed": 3, "classifier": VICTIM, **begun_with(config)}
    folder.create(tmp_path / "run", manifest, to_yaml(config)).close()
    _edit(tmp_path / "run", key, value)
    assert f"{key} {both}" in _refused(tmp_path / "run", key)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of attacks that was stopped after its first rows."""
    out = tmp_path_factory.mktemp("attacked") / "run"
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 6

    config = {
        "classifier": f"{TOYS / 'linear.py'}:victim",
        "images": {"noise": "uniform", "count": 12},
        "attacks": [{"name": "fgsm", "eps": 0.25}, {"name": "pgd", "eps": 0.25, "steps": 5}],
        "scoring": {"batch": 8, "workers": 2, "engine": "torch", "budget": 10_000},
        "chunk": 4,
    }
    with pytest.raises(Interrupted):
        attack(config, out, should_stop=stop, command="evofool attack toy.yaml")
    assert status(out)["results"] > 0
    return out


@pytest.fixture
def run(attacked: Path, tmp_path: Path) -> Path:
    shutil.copytree(attacked, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attacks.0.eps", 0.05),
        ("attacks.1.steps", 6),
        ("images.count", 13),
        ("only_correct", False),
        ("targets", "next"),
        ("scoring.batch", 4),
        ("scoring.engine", "onnxruntime"),
        ("chunk", 5),
        ("seed", 2),
    ],
)
def test_edited_attacks_are_refused(run: Path, key: str, value: object) -> None:
    _edit(run, key, value)
    message = _refused(run, key)
    if key == "attacks.0.eps":
        assert "attacks.0.eps is 0.05, but the run was begun with 0.25" in message
    with pytest.raises(FolderError, match="was edited"):
        build(run)


def test_attacks_that_were_left_as_they_are_go_on(run: Path) -> None:
    with pytest.raises(UsageError, match=r"scoring.budget: 1 is less than the \d+ queries"):
        resume(run, overrides=["scoring.budget=1"])
    found = resume(run, overrides=["scoring.workers=1", "scoring.budget=20000"]).summary
    assert len(found["attacks"]) == 2
    with AttackFolder.open(run) as folder:
        story = commands_of(folder.manifest)
        assert folder.manifest["changes"][0]["set"] == {
            "scoring.workers": [2, 1],
            "scoring.budget": [10_000, 20_000],
        }
    assert story == (
        f"evofool attack toy.yaml && evofool resume {run} scoring.workers=1 scoring.budget=20000"
    )
    assert all(check.ok for check in verify(run))


def test_an_encoding_is_for_campaigns(run: Path) -> None:
    with pytest.raises(UsageError, match="--encoding"):
        resume(run, encoding="x.py:X")
    with pytest.raises(UsageError, match="--encoding"):
        list(verify(run, encoding="x.py:X"))
