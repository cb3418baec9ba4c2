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
from evofool.training import weights as weights_module


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
        {"device": "tpu"},
        {"gpus": 0},
        {"adversary": {"kind": "fgsm"}},
        {"adversary": {"kind": "cw", "eps": 0.1}},
        {"adversary": {"kind": "fgsm", "eps": 0}},
        {"adversary": {"kind": "fgsm", "eps": "8/0"}},
        {"adversary": {"kind": "fgsm", "eps": "eight"}},
        {"adversary": {"kind": "fgsm", "eps": 0.1, "steps": 3}},
        {"adversary": {"kind": "fgsm", "eps": 0.1, "alpha": 1}},
        {"adversary": {"kind": "fgsm", "eps": 0.1, "random_step": 0.1}},
        {"adversary": {"kind": "pgd", "eps": 0.1, "steps": 0}},
        {"adversary": {"kind": "pgd", "eps": 0.1, "target": "random"}},
        {"adversary": {"kind": "ensemble", "eps": 0.1}},
        {"adversary": {"kind": "ensemble", "eps": 0.1, "sources": []}},
        {"adversary": {"kind": "ensemble", "eps": 0.1, "sources": "mnist-lenet"}},
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
    assert not (tmp_path / "net.safetensors").exists()


def test_fractions_are_numbers() -> None:
    adversary = {"kind": "pgd", "eps": "8/255", "step_size": "2 / 255"}
    made = TrainConfig.model_validate(
        {"name": "net", "dataset": "mnist", "epochs": 1, "adversary": adversary}
    )
    assert made.adversary is not None
    assert (made.adversary.eps, made.adversary.step_size) == (8 / 255, 2 / 255)  # type: ignore[union-attr]


def test_a_gpu_that_is_not_here(halves: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cuda:97 was asked for, but PyTorch finds \d+ GPUs"):
        train(config(device="cuda:97"), None, tmp_path)
    with pytest.raises(UsageError, match="gpus: 2 were asked for, but the training runs on the"):
        train(config(device="cpu", gpus=2), None, tmp_path)


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

    monkeypatch.setattr(weights_module.os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        weights_module.write_atomically(path, b"new")
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
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
