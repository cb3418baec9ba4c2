"""Evaluations of defenses go on with the config they were begun with, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evofool.config.loading import to_yaml
from evofool.errors import FolderError
from evofool.experiments.begun import begun_with
from evofool.experiments.defend_config import load_defense
from evofool.experiments.runs import resume, status, verify
from evofool.store import DefendFolder

EVOLUTION = {"encodings": ["direct"], "initial": 8, "children": 8, "generations": 2}
VICTIM = {
    "name": "mnist-lenet",
    "digest": "0" * 64,
    "input_shape": [1, 28, 28],
    "labels": [str(i) for i in range(10)],
}
CONFIGS: dict[str, dict[str, Any]] = {
    "defend": {
        "kind": "defend",
        "base": "mnist-lenet",
        "defense": {"name": "jpeg", "quality": 60},
        "data": {"dataset": "mnist-sample", "limit": 4},
        "threats": {"eps": "64/255", "steps": 20},
        "evolution": {**EVOLUTION, "seeds": [1]},
        "seed": 3,
    },
}
KINDS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "defend": (DefendFolder, load_defense),
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
        ("defend", "threats.eps", 0.3, "is 0.3, but the run was begun with 0.2509803921568627"),
        ("defend", "threats.steps", 10, "is 10, but the run was begun with 20"),
        ("defend", "defense.quality", 75, "is 75, but the run was begun with 60"),
        ("defend", "data.limit", 5, "is 5, but the run was begun with 4"),
        ("defend", "evolution.generations", 3, "is 3, but the run was begun with 2"),
        ("defend", "evolution.seeds", [1, 2], "is [1, 2], but the run was begun with [1]"),
        ("defend", "scoring.batch", 7, "is 7, but the run was begun with 100"),
        ("defend", "seed", 4, "is 4, but the run was begun with 3"),
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
