"""What was stopped, killed or broken goes on to the same bytes, or says why not."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import EvofoolError, Interrupted, UsageError
from evofool.training import TrainConfig, TrainProgress, train
from evofool.training import loop as loop_module

HARD = {"kind": "pgd", "eps": 0.1, "steps": 2, "alpha": 0.5, "check": 16}


def config(**changes: object) -> TrainConfig:
    settings = {
        "name": "net",
        "dataset": "halves",
        "architecture": "mnist-d",  # dropout inside, and quick
        "epochs": 3,
        "batch": 20,
        "shift": 1,
        "mirror": True,
        "device": "cpu",
        "optimiser": {"name": "adam", "lr": 0.001},
        **changes,
    }
    return TrainConfig.model_validate(settings)


def stop_after(step: int):  # type: ignore[no-untyped-def]
    """Progress and a `should_stop` that is true from `step` on."""
    seen: list[TrainProgress] = []
    return {"progress": seen.append, "should_stop": lambda: seen[-1].step >= step}


@pytest.mark.parametrize(
    ("stops", "changes"),
    [
        ((2, 5, 13), {"adversary": HARD}),  # within an epoch, at its end, within the last
        ((2,), {"architecture": "cifar-resnet", "epochs": 1, "optimiser": {"lr": 0.05}}),
    ],
)
def test_a_stopped_training_ends_with_the_same_bytes(
    halves: str, tmp_path: Path, stops: tuple[int, ...], changes: dict[str, object]
) -> None:
    settings = config(**changes)
    whole = train(settings, None, tmp_path / "whole")
    out = tmp_path / "parts"
    for step in stops:
        with pytest.raises(Interrupted, match=f"stopped after step {step} of .*; the same command"):
            train(settings, None, out, **stop_after(step))
        left = sorted(path.name for path in out.iterdir())
        assert left == [f"net.checkpoint-{step}.safetensors", "net.checkpoint.json"]
    seen: list[TrainProgress] = []
    result = train(settings, None, out, seen.append)
    assert result.weights.read_bytes() == whole.weights.read_bytes()
    assert (seen[0].step, seen[0].resumed_at) == (stops[-1] + 1, stops[-1])
    assert result.adversarial_accuracy == whole.adversarial_accuracy
    assert result.test_accuracy == whole.test_accuracy
    assert sorted(path.name for path in out.iterdir()) == ["net.json", "net.safetensors"]


KILLED = """
import os, signal, sys
from pathlib import Path
import pytest
sys.path.insert(0, sys.argv[1])
import conftest
from evofool.training import loop, train, TrainConfig

loop.load_dataset = conftest.load_halves
loop.CHECKPOINT_SECONDS = 0
def progress(p):
    if p.step == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
config = TrainConfig.model_validate_json(Path(sys.argv[3]).read_text())
train(config, None, Path(sys.argv[2]), progress)
"""


def test_a_killed_training_ends_with_the_same_bytes(
    halves: str, forked: Any, tmp_path: Path
) -> None:
    settings = config(adversary=HARD)
    written = tmp_path / "config.json"
    written.write_text(settings.model_dump_json())
    out = tmp_path / "killed"
    done = forked(KILLED, Path(__file__).parent, out, written, 4).end()
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert json.loads((out / "net.checkpoint.json").read_text())["step"] == 3
    assert not (out / "net.safetensors").exists()
    result = train(settings, None, out)
    whole = train(settings, None, tmp_path / "whole")
    assert result.weights.read_bytes() == whole.weights.read_bytes()


def test_killed_while_a_checkpoint_is_written(
    halves: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new tensors are there, the JSON still names the old ones."""
    settings = config()
    with pytest.raises(Interrupted):
        train(settings, None, tmp_path, **stop_after(3))
    from evofool.training import state

    original = state.write_atomically

    def crash(path: Path, content: bytes) -> None:
        if path.suffix == ".json":
            raise KeyboardInterrupt
        original(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(state, "write_atomically", crash)
        with pytest.raises(KeyboardInterrupt):
            train(settings, None, tmp_path, **stop_after(4))
    assert (tmp_path / "net.checkpoint-3.safetensors").is_file()
    assert (tmp_path / "net.checkpoint-4.safetensors").is_file()
    seen: list[TrainProgress] = []
    train(settings, None, tmp_path, seen.append)
    assert seen[0].step == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.json", "net.safetensors"]


def interrupted(out: Path, **changes: object) -> Path:
    with pytest.raises(Interrupted):
        train(config(**changes), None, out, **stop_after(6))
    return out / "net.checkpoint.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 4}, r"config\.epochs is 3 there and 4 here; give --fresh"),
        ({"optimiser": {"lr": 0.5}}, r"config\.optimiser\.(name|lr) is"),
        ({"adversary": HARD}, r"config\.adversary is None there"),
    ],
)
def test_a_checkpoint_of_another_training(
    halves: str, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = interrupted(tmp_path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=message):
        train(config(**changes), None, tmp_path)
    assert path.read_bytes() == before
    seen: list[TrainProgress] = []
    train(config(**{**changes, "epochs": 1}), None, tmp_path, seen.append, fresh=True)
    assert seen[0].step == 1


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"penalty": {"kind": "smoothing", "weight": 0.1}}, "penalty"),
        ({"loss": "sigmoid"}, "loss"),
        ({"temperature": 2}, "temperature"),
        ({"adversary": HARD}, "adversary"),
        ({"shift": 2}, "shift"),
    ],
)
def test_a_key_that_is_taken_out_of_a_config_is_an_edit(
    halves: str, tmp_path: Path, changes: dict[str, object], key: str
) -> None:
    interrupted(tmp_path, **changes)
    with pytest.raises(UsageError, match=rf"config\.{key} is .* there and .* here; give --fresh"):
        train(config(), None, tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"epochs": 4},
            r"net\.safetensors already exists .* config\.epochs is 3 there and 4 here;",
        ),
        (
            {"loss": "sigmoid"},
            r"config\.loss is .* give --fresh .* or another --out or name",
        ),
    ],
)
def test_finished_weights_of_another_training_are_not_replaced(
    halves: str, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    train(config(), None, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=message):
        train(config(**changes), None, tmp_path)
    assert contents(tmp_path) == before
    train(config(), None, tmp_path)  # those of the same config may be made again
    assert (tmp_path / "net.safetensors").read_bytes() == before["net.safetensors"]
    train(config(**changes), None, tmp_path, fresh=True)
    assert contents(tmp_path) != before
    train(config(), None, tmp_path / "other")
    assert contents(tmp_path / "other")["net.safetensors"] == before["net.safetensors"]


@pytest.mark.parametrize("card", [None, b"", b"[]", b"{}", b'{"config": {"epochs": "x"}}'])
def test_weights_that_nobody_vouches_for_are_not_replaced(
    halves: str, tmp_path: Path, card: bytes | None
) -> None:
    (tmp_path / "net.safetensors").write_bytes(b"somebody's")
    if card is not None:
        (tmp_path / "net.json").write_bytes(card)
    with pytest.raises(
        UsageError, match=r"net\.safetensors already exists .* card.*; give --fresh"
    ):
        train(config(), None, tmp_path)
    assert (tmp_path / "net.safetensors").read_bytes() == b"somebody's"


def test_other_data_under_the_same_name(
    halves: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path)
    original = loop_module.load_dataset

    def changed(name: str, split: str, folder: object):  # type: ignore[no-untyped-def]
        found = original(name, split, folder)  # type: ignore[arg-type]
        found.images[0, 0, 0, 0] ^= 1
        return found

    monkeypatch.setattr(loop_module, "load_dataset", changed)
    with pytest.raises(UsageError, match="to another training: data is"):
        train(config(), None, tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"kind": 3}', b"\xff\xfe"])
def test_a_damaged_json(halves: str, tmp_path: Path, content: bytes) -> None:
    interrupted(tmp_path).write_bytes(content)
    with pytest.raises(UsageError, match=r"net\.checkpoint\.json: damaged checkpoint .* --fresh"):
        train(config(), None, tmp_path)


def test_damaged_tensors(halves: str, tmp_path: Path) -> None:
    interrupted(tmp_path)
    path = tmp_path / "net.checkpoint-6.safetensors"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(UsageError, match=r"checkpoint-6\.safetensors: damaged .*sha256"):
        train(config(), None, tmp_path)
    path.unlink()
    with pytest.raises(UsageError, match=r"checkpoint-6\.safetensors: damaged"):
        train(config(), None, tmp_path)


def test_a_checkpoint_holds_no_path_and_no_pickle(halves: str, tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    record = json.loads(path.read_text())
    assert (record["epoch"], record["step"]) == (1, 6)
    assert record["config"]["epochs"] == 3
    assert str(tmp_path) not in path.read_text()


def test_a_loss_that_explodes_keeps_the_last_good_checkpoint(
    halves: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evofool.training.losses import COSTS

    settings = config(epochs=2)
    cost = COSTS["cross-entropy"]
    calls = 0

    def breaks(outputs, labels):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        losses = cost.losses(outputs, labels)
        return losses * float("nan") if calls == 8 else losses

    message = (
        r"the loss is nan at step 8 \(epoch 2\); lower optimiser\.lr .* last good"
        r" checkpoint, after step 5 \(epoch 1\), is in .*net\.checkpoint\.json"
    )
    with monkeypatch.context() as patch:
        patch.setitem(COSTS, "cross-entropy", replace(cost, losses=breaks))
        with pytest.raises(EvofoolError, match=message):
            train(settings, None, tmp_path)
    seen: list[TrainProgress] = []
    result = train(settings, None, tmp_path, seen.append)
    assert seen[0].step == 6
    whole = train(settings, None, tmp_path / "whole")
    assert result.weights.read_bytes() == whole.weights.read_bytes()


def test_weights_that_exploded_are_never_saved(
    halves: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from evofool.training.fitting import Fitting

    original = Fitting._step

    def spoil(self, *arguments):  # type: ignore[no-untyped-def]
        found = original(self, *arguments)
        if self.done == 10:  # the last step of the second epoch
            next(self.module.parameters()).data[:] = torch.inf
        return found

    monkeypatch.setattr(Fitting, "_step", spoil)
    with pytest.raises(EvofoolError, match=r"weights .* not finite after step 10.*after step 5"):
        train(config(), None, tmp_path)
    assert json.loads((tmp_path / "net.checkpoint.json").read_text())["step"] == 5
    assert not (tmp_path / "net.safetensors").exists()
