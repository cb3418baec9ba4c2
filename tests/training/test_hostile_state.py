"""A checkpoint may be damaged or made to harm: it is a UsageError, or goes on."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evofool.errors import Interrupted, UsageError
from evofool.training import TrainConfig, train
from evofool.training.state import Checkpoints, State


def settings(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "name": "net",
            "dataset": "halves",
            "architecture": "mnist-d",
            "epochs": 1,
            "batch": 48,
            "device": "cpu",
            "optimiser": {"name": "adam", "lr": 0.001},
            **changes,
        }
    )


@pytest.fixture
def stopped(halves: str, tmp_path: Path) -> Path:
    """A training that was stopped after its first step of two."""
    with pytest.raises(Interrupted):
        train(settings(), None, tmp_path, should_stop=lambda: True)
    return tmp_path / "net.checkpoint.json"


IDENTITY = ("config", "data", "sources", "device", "torch")


def edit(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], Any]) -> None:
    """Writes the checkpoint again as evofool does, with something changed."""
    record = json.loads(path.read_text())
    checkpoints = Checkpoints(path.parent, "net", {key: record[key] for key in IDENTITY})
    state = checkpoints.read()
    assert state is not None
    fields: dict[str, Any] = {"step": state.step, "measured": dict(state.measured)}
    tensors = dict(state.tensors)
    change(fields, tensors)
    checkpoints.write(replace(state, **fields, tensors=tensors))


def momentum(state: dict[str, torch.Tensor]) -> str:
    return next(key for key in state if key.endswith(".exp_avg"))


CHANGES: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "steps beyond the end": (lambda r, s: r.update(step=10**15), "damaged checkpoint"),
    "the end, unmeasured": (lambda r, s: r.update(step=2), "what was measured .* is missing"),
    "a weight missing": (lambda r, s: s.pop("net.head.12.bias"), "damaged checkpoint"),
    "a weight more": (lambda r, s: s.update({"net.x": torch.zeros(1)}), "damaged checkpoint"),
    "a weight of another shape": (
        lambda r, s: s.update({"net.head.12.bias": torch.zeros(3)}),
        "damaged checkpoint",
    ),
    "a weight that is whole": (
        lambda r, s: s.update({"net.head.12.bias": torch.zeros(2, dtype=torch.int8)}),
        "head.12.bias is int8",
    ),
    "a weight that is no number": (
        lambda r, s: s.update({"net.head.12.bias": torch.full((2,), torch.nan)}),
        "are not finite",
    ),
    "a memory of another shape": (
        lambda r, s: s.update({momentum(s): torch.zeros(7, 7)}),
        "exp_avg of weight .* is of another kind or shape",
    ),
    "a memory that is infinite": (
        lambda r, s: s.update({momentum(s): s[momentum(s)] + torch.inf}),
        "exp_avg of weight .* is not finite",
    ),
    "a memory of no weight": (
        lambda r, s: s.update({"optimiser.999.exp_avg": torch.zeros(1)}),
        "not 999",
    ),
    "a memory of no number": (
        lambda r, s: s.update({"optimiser.x.exp_avg": torch.zeros(1)}),
        "damaged checkpoint",
    ),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_checkpoint_that_was_made(
    stopped: Path, change: Callable[[Any, Any], Any], message: str
) -> None:
    edit(stopped, change)
    with pytest.raises(UsageError, match=message):
        train(settings(), None, stopped.parent)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", 1e999),
        ("step", -1),
        ("step", 1.5),
        ("step", True),
        ("epoch", "1"),
        ("seconds", 1e999),
        ("seconds", -1),
        ("seconds", None),
        ("measured", [1]),
        ("measured", {"loss": 1e999}),
        ("measured", {"loss": "high"}),
        ("sha256", None),
        ("schema", [1]),
    ],
)
def test_a_record_of_wrong_values(tmp_path: Path, key: str, value: object) -> None:
    checkpoints = Checkpoints(tmp_path, "net", {})
    checkpoints.write(State(1, 0, 1.0, {"loss": 1.0}, {"a": torch.zeros(2)}))
    record = json.loads(checkpoints.path.read_text())
    checkpoints.path.write_text(json.dumps({**record, key: value}))
    with pytest.raises(UsageError, match="damaged checkpoint"):
        checkpoints.read()


def test_flipped_bits(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "net", {"config": {"seed": 1}})
    checkpoints.write(State(1, 0, 1.0, {"loss": 1.0}, {"a": torch.zeros(2)}))
    tensors = tmp_path / "net.checkpoint-1.safetensors"
    chance = random.Random(0)
    for path, always in ((checkpoints.path, False), (tensors, True)):
        whole = path.read_bytes()
        refused = 0
        for _ in range(300):
            data = bytearray(whole)
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
            try:
                checkpoints.read()
            except UsageError:
                refused += 1
        assert refused == 300 if always else refused > 100
        path.write_bytes(whole)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["net.checkpoint.json", "net.checkpoint-1.safetensors"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    checkpoints = Checkpoints(tmp_path, "net", {})
    checkpoints.write(State(1, 0, 1.0, {}, {"a": torch.zeros(2)}))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match="it is a named pipe"):
        checkpoints.read()


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "x" * 300])
def test_a_folder_that_cannot_be_one(halves: str, tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be written|damaged checkpoint"):
        train(settings(), None, tmp_path / text)
