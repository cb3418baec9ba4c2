"""A run and its victim: what is refused when the victim changes, and what still resumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import load_classifier
from evofool.classifiers.identity.files import sha256_file
from evofool.errors import StoreError
from evofool.evolution.campaign import evolve, resume

Make = Callable[..., dict[str, Any]]
FILE = """
import torch
from torch import nn
from evofool.classifiers import from_module
from beside import SLOPE

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tables = [torch.arange(36 * 4).reshape(36, 4) % 11 - 5.0]
        self.slope = SLOPE

    def forward(self, x):
        return (x * 255).flatten(1) @ self.tables[0] / 4096 * self.slope

def victim():
    return from_module(Net(), input_shape=(1, 6, 6), name="My net")
"""


@pytest.fixture
def run(toy_campaign: Make, tmp_path: Path) -> Path:
    """A run of two generations against a file and a file beside it."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "own.py").write_text(FILE)
    (tmp_path / "nets" / "beside.py").write_text("SLOPE = 1.0")
    sections = toy_campaign(
        classifier={"name": str(tmp_path / "nets" / "own.py:victim")}, stop={"generations": 2}
    )
    evolve(sections, tmp_path / "run")
    return tmp_path / "run"


def manifest_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return content


def as_before(run: Path) -> None:
    """The manifest as rule 1 wrote it: the digest of parameters, the sha256 of the one file."""
    manifest = manifest_of(run)
    victim = manifest["classifier"]
    path = Path(victim["path"])
    del victim["digest_version"], victim["title"]
    victim["digest"] = load_classifier(f"{path}:victim").old_digest
    victim["sha256"] = sha256_file(path)
    (run / "manifest.json").write_text(json.dumps(manifest))


def test_the_manifest_names_the_rule_and_the_title(run: Path) -> None:
    victim = manifest_of(run)["classifier"]
    assert victim["digest_version"] == 2
    assert victim["title"] == "My net"
    assert victim["name"] == f"{run.parent}/nets/own.py:victim"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("beside.py", "1.0", "2.0"), ("own.py", "- 5.0", "- 4.0"), ("own.py", "4096", "4095")],
)
def test_a_changed_victim_is_refused(run: Path, file: str, old: str, new: str) -> None:
    path = run.parent / "nets" / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(StoreError, match="--classifier"):
        resume(run, overrides=["stop.generations=3"])


def test_an_older_run_resumes_by_its_own_rule(run: Path) -> None:
    as_before(run)
    assert resume(run, overrides=["stop.generations=3"]).summary["generations"] == 3
    path = run.parent / "nets" / "own.py"
    path.write_text(path.read_text() + "\n# changed")
    with pytest.raises(StoreError, match="has changed since the run was made"):
        resume(run, overrides=["stop.generations=4"])


def test_a_moved_victim_is_the_same(run: Path) -> None:
    nets = run.parent / "nets"
    nets.rename(run.parent / "moved")
    moved = f"{run.parent}/moved/own.py:victim"
    resume(run, classifier=moved, overrides=["stop.generations=3"])
    assert manifest_of(run)["classifier"]["name"] == moved
