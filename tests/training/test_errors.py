"""Bad configs, missing data, a loss that explodes, and crashes while writing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from evofool import training
from evofool.errors import DataError, EvofoolError, UsageError
from evofool.training import TrainConfig, TrainProgress, train
from evofool.training import checkpoint as checkpoint_module


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 3},
        {"kind": "evolve"},
        {"epochs": 0},
        {"batch": 0},
        {"seed": -1},
        {"architecture": "vgg"},
        {"name": "../up"},
        {"name": ".hidden"},
        {"name": ""},
        {"dataset": ""},
        {"shift": -1},
        {"optimiser": {"lr": 0}},
        {"optimiser": {"lr": float("inf")}},
        {"optimiser": {"name": "lion"}},
        {"optimiser": {"momentum": 1}},
        {"optimiser": {"betas": 1}},
    ],
)
def test_configs(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainConfig.model_validate({"name": "net", "dataset": "mnist", "epochs": 1, **change})


def config(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate({"name": "net", "dataset": "d", "epochs": 2, **changes})


def test_an_exploding_loss_names_the_step(halves: str, tmp_path: Path) -> None:
    settings = config(batch=16, optimiser={"lr": 10, "schedule": "constant"})
    seen: list[TrainProgress] = []
    with pytest.raises(EvofoolError, match=r"the loss is (nan|inf) at step \d+ .*optimiser\.lr"):
        train(settings, None, tmp_path, seen.append)
    assert list(tmp_path.iterdir()) == []


def test_missing_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found: put train-images"):
        train(config(dataset="mnist"), tmp_path, tmp_path)
    with pytest.raises(DataError, match="no split 'train'"):
        train(config(dataset="mnist-sample"), tmp_path, tmp_path)


def test_a_folder_that_is_a_file(halves: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="out: cannot be written"):
        train(config(epochs=1), None, tmp_path / "out")


def test_a_crash_while_writing_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"old")

    def crash(_handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_module.os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint_module._write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = training.nonsense


def test_checking_a_config_needs_no_torch() -> None:
    code = (
        "import sys; from evofool.training import TrainConfig;"
        "TrainConfig(name='n', dataset='mnist', epochs=1); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
