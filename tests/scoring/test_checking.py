"""What scores the pictures of a run again is another engine than scored them first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool import kinds
from evofool.classifiers import Classifier, load_classifier
from evofool.config import load_campaign
from evofool.errors import ConfigError, UsageError
from evofool.evolution.campaign import evolve
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
from evofool.experiments.runs import verify
from evofool.scoring.checking import OTHER_ENGINE, SAME_ENGINE, Comparison, checking_engine
from evofool.scoring.engines import OnnxEngine

attack = partial(life.begin, AttackStudy)

CAMPAIGN: dict[str, Any] = {
    "classifier": "mnist-lenet",
    "encoding": "direct",
    "evolution": {"initial": 8, "children": 8},
    "stop": {"generations": 2},
    "scoring": {"engine": "onnxruntime", "batch": 8, "workers": 2},
}


def wrong(run: Path, engine: str | None = None) -> dict[str, str]:
    return {check.name: check.detail for check in verify(run, engine=engine) if check.ok is False}


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that is not the module's: every logit is a fifth larger."""
    true = OnnxEngine.forward

    def forward(self: OnnxEngine, images: Any) -> NDArray[np.generic]:
        return np.asarray(true(self, images) * np.float32(1.2))

    monkeypatch.setattr(OnnxEngine, "forward", forward)


def test_a_sound_engine_is_confirmed_by_the_other(tmp_path: Path) -> None:
    evolve(CAMPAIGN, tmp_path / "run")
    assert wrong(tmp_path / "run") == {}
    details = {check.name: check.detail for check in verify(tmp_path / "run")}
    assert details["confidences"].startswith("by torch (the run: onnxruntime) differ by at most")
    details = {c.name: c.detail for c in verify(tmp_path / "run", engine="onnxruntime")}
    assert details["confidences"].startswith("by onnxruntime differ by at most")


@pytest.mark.usefixtures("faulty")
def test_a_faulty_engine_agrees_with_itself_alone(tmp_path: Path) -> None:
    evolve(CAMPAIGN, tmp_path / "run")
    assert wrong(tmp_path / "run", "onnxruntime") == {}
    found = wrong(tmp_path / "run")
    assert set(found) == {"confidences"}
    # the class, what is claimed and what is found
    assert "by torch (the run: onnxruntime)" in found["confidences"]
    assert "class " in found["confidences"]
    assert "is claimed" in found["confidences"]
    assert "is found" in found["confidences"]


@pytest.mark.usefixtures("faulty")
def test_of_attacks_too(tmp_path: Path) -> None:

    config = {
        "classifier": "mnist-lenet",
        "images": {"dataset": "mnist-sample", "limit": 4},
        "attacks": [{"name": "fgsm", "eps": 0.3}],
        "scoring": {"engine": "onnxruntime", "batch": 8, "workers": 2},
    }
    attack(config, tmp_path / "run")
    assert wrong(tmp_path / "run", "onnxruntime") == {}
    assert "by torch (the run: onnxruntime)" in wrong(tmp_path / "run")["confidences"]


def test_a_black_box_has_one_engine_only(
    tmp_path: Path, toy_campaign: Callable[..., dict[str, Any]]
) -> None:
    evolve(toy_campaign(stop={"generations": 1}), tmp_path / "run")
    details = {check.name: check.detail for check in verify(tmp_path / "run")}
    assert details["confidences"].startswith("by predict differ by at most")
    with pytest.raises(ConfigError, match=r"scoring.engine.*predict function"):
        list(verify(tmp_path / "run", engine="torch"))


def test_kinds_that_score_by_their_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evofool.experiments.runs.kind_of", lambda path: kinds.find("costs"))
    with pytest.raises(UsageError, match="--engine"):
        list(verify(tmp_path, engine="torch"))


@pytest.fixture(scope="module")
def lenet() -> Classifier:
    return load_classifier("mnist-lenet")


def test_torch_wherever_there_is_a_module(lenet: Classifier) -> None:
    loaded = load_campaign(CAMPAIGN)
    assert checking_engine(loaded, lenet, None) == "torch"
    assert checking_engine(loaded, lenet, "onnxruntime") == "onnxruntime"
    assert checking_engine(loaded, replace(lenet, module=None), None) == "onnxruntime"


def test_how_far_engines_may_be_apart() -> None:
    odds = np.array([1.0, 1.005, -3.0])
    other, same = Comparison("torch", "onnxruntime"), Comparison("torch", "torch")
    assert (other.tolerance, same.tolerance) == (OTHER_ENGINE, SAME_ENGINE) == (1e-3, 1e-4)
    assert other.may_answer(odds, 1, 0)
    assert not other.may_answer(odds, 1, 2)
    assert not same.may_answer(odds, 1, 0)
    assert not Comparison("predict", "auto").other
