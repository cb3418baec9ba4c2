"""Each leaf of a card and of a checkpoint, and each file of a training, changed once."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from halves import load_halves

from evofool.errors import EvofoolError, FolderError, Interrupted, UsageError
from evofool.experiments import training_verify
from evofool.experiments.runs import verify
from evofool.seal import SEAL, sealed
from evofool.training import TrainConfig, loop, train

NOT_SAID_WHEN_SEALED_ANEW = {
    "seconds": "only the training could tell",
    "device": "only the training could tell",
    "versions": "it may have been trained with others than are installed",
    "config.epochs": "only the same training could tell whether it gives these weights",
    "config.batch": "as config.epochs",
    "config.optimiser": "as config.epochs",
    "config.shift": "as config.epochs",
    "config.mirror": "as config.epochs",
    "config.gpus": "as config.epochs",
    "config.adversary.alpha": "as config.epochs",
    "config.adversary.warmup": "as config.epochs",
    "config.adversary.random_start": "where the attack succeeds from any start",
    "config.temperature": "as config.epochs",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with net.json, net.safetensors and a checkpoint of another net."""
    folder = tmp_path_factory.mktemp("weights")
    settings = {
        "dataset": "halves",
        "epochs": 1,
        "batch": 20,
        "device": "cpu",
        "architecture": "mnist-d",
    }
    hard = {"kind": "pgd", "eps": 0.1, "steps": 2, "check": 16}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "load_dataset", load_halves)
        patch.setattr(training_verify, "load_dataset", load_halves)
        train(
            TrainConfig.model_validate({"name": "net", **settings, "adversary": hard}), out=folder
        )
        with pytest.raises(Interrupted):
            train(
                TrainConfig.model_validate({"name": "other", **settings}),
                out=folder,
                should_stop=lambda: True,
            )
        yield folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def said(path: Path) -> list[str]:
    try:
        return [f"{c.name}: {c.detail}" for c in verify(path) if c.ok is False]
    except EvofoolError as error:
        return [str(error)]


def is_said(path: Path) -> bool:
    """Whether anything is; what follows the first failure is not looked at."""
    try:
        return any(check.ok is False for check in verify(path))
    except EvofoolError:
        return True


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if not isinstance(value, dict | list) or not value:
        yield at
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(inner, (*at, key))


def changed(value: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """`value` with another leaf of the same type at `path`."""
    result = copy.deepcopy(value)
    inner: Any = result
    for key in path[:-1]:
        inner = inner[key]
    leaf = inner[path[-1]]
    if isinstance(leaf, str):
        leaf = ("1" if leaf[:1] == "0" else "0") + leaf[1:] if leaf else "x"
    elif isinstance(leaf, bool):
        leaf = not leaf
    elif isinstance(leaf, int | float):
        leaf = leaf + 1 if isinstance(leaf, int) else (leaf / 2 if leaf > 0.1 else leaf + 0.3)
    else:
        leaf = {"x": 1}
    inner[path[-1]] = leaf
    return result


def dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(key) for key in path if not isinstance(key, int))


def test_nothing_is_said_of_an_untouched_training(trained: Path) -> None:
    assert said(trained) == []
    checks = {check.name: check.ok for check in verify(trained)}
    assert checks == dict.fromkeys(
        (
            *("net: card", "net: config", "net: weights", "net: data", "net: test_accuracy"),
            *("net: adversarial_accuracy", "other: checkpoint"),
        ),
        True,
    )
    for name in ("net.json", "net.safetensors"):
        assert "test_accuracy" in {check.name for check in verify(trained / name)}


@pytest.mark.parametrize("name", ["net.json", "other.checkpoint.json"])
def test_every_leaf(copied: Path, name: str) -> None:
    content = json.loads((copied / name).read_text())
    unsaid = []
    for path in leaves(content):
        (copied / name).write_text(json.dumps(changed(content, path)))
        unsaid += [] if is_said(copied / name) else [dotted(path)]
    assert unsaid == []


def test_every_leaf_of_a_card_that_was_sealed_anew(copied: Path) -> None:
    card = json.loads((copied / "net.json").read_text())
    unsaid = set()
    for path in leaves(card):
        if path != (SEAL,):
            (copied / "net.json").write_text(json.dumps(sealed(changed(card, path))))
            unsaid |= set() if is_said(copied / "net.json") else {dotted(path)}
    found = {
        next((key for key in NOT_SAID_WHEN_SEALED_ANEW if f"{name}.".startswith(f"{key}.")), name)
        for name in unsaid
    }
    assert found | {"config.adversary.random_start"} == set(NOT_SAID_WHEN_SEALED_ANEW)


def test_every_file(copied: Path) -> None:
    unsaid = []
    for path in sorted(copied.iterdir()):
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            middle = len(data) * 3 // 4
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
            unsaid += [] if is_said(copied) else [path.name]
        path.write_bytes(data[: len(data) // 2])
        unsaid += [] if is_said(copied) else [f"{path.name} cut"]
        path.write_bytes(data)
    assert unsaid == []
    assert said(copied) == []


def test_weights_of_another_training(copied: Path) -> None:
    checkpoint = next(copied.glob("other.checkpoint-*.safetensors"))
    shutil.copy(checkpoint, copied / "net.safetensors")
    assert any("is not the file that net.json describes" in line for line in said(copied))


def test_without_the_data_it_says_what_is_not_measured(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    from evofool.data import load_dataset

    monkeypatch.setattr(training_verify, "load_dataset", load_dataset)
    checks = {check.name: check for check in verify(trained / "net.json")}
    assert checks["data"].ok is None
    assert "nothing is measured again" in checks["data"].detail


def test_what_is_no_training(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(FolderError, match="not a run folder"):
        list(verify(tmp_path))
    (tmp_path / "x.safetensors").write_bytes(b"")
    with pytest.raises(FolderError, match="has no card"):
        list(verify(tmp_path / "x.safetensors"))
    with pytest.raises(UsageError, match="--engine"):
        list(verify(trained, engine="torch"))
