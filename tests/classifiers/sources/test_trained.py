"""Weights that `evofool train` wrote are victims by their path alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.classifiers.nets.architectures import build_architecture
from evofool.errors import ClassifierError


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = build_architecture("sign-cnn", (1, 16, 16), 3)
    path = tmp_path / "net.safetensors"
    save_file(net.state_dict(), path)
    card = {
        "name": "net",
        "architecture": "sign-cnn",
        "input_shape": [1, 16, 16],
        "labels": ["a", "b", "c"],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (tmp_path / "net.json").write_text(json.dumps(card))
    return path


def test_by_path(trained: Path) -> None:
    victim = load_classifier("net.safetensors", base=trained.parent)
    assert victim.labels == ("a", "b", "c")
    assert victim.input_shape == (1, 16, 16)
    assert victim.name == "net.safetensors"
    assert "0.5" in victim.preprocessing
    assert victim.source is not None
    assert victim.source[0] == trained
    renamed = load_classifier({"name": str(trained), "labels": ["x", "y", "z"]})
    assert renamed.labels == ("x", "y", "z")
    assert renamed.digest == victim.digest


def test_inspection(trained: Path) -> None:
    found = inspect_classifier(str(trained))
    assert (found.ready, found.n_classes, found.input_shape) == (True, 3, (1, 16, 16))
    trained.unlink()
    found = inspect_classifier(str(trained))
    assert not found.ready
    assert "no such file" in found.missing


def edit(trained: Path, **changes: object) -> None:
    card = trained.with_suffix(".json")
    content = {**json.loads(card.read_text()), **changes}
    card.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "is not the file that net.json describes"),
        ({"architecture": "vgg"}, "its architecture 'vgg' is unknown"),
        ({"architecture": None}, "is not a card that evofool train wrote"),
        ({"architecture": ["lenet"]}, "is (not a card|unknown)"),
        ({"architecture": "lenet"}, "do not fit the architecture"),
        ({"input_shape": [2, 16, 16]}, "input_shape must be"),
        ({"input_shape": 3}, "is not a card"),
        ({"labels": ["a", "b"]}, "labels"),
        ({"labels": 3}, "is not a card|labels"),
    ],
)
def test_cards_that_lie(trained: Path, changes: dict[str, object], message: str) -> None:
    edit(trained, **changes)
    with pytest.raises(ClassifierError, match=message):
        load_classifier(str(trained))


def test_no_card_and_no_weights(trained: Path) -> None:
    card = trained.with_suffix(".json")
    card.write_text("{")
    with pytest.raises(ClassifierError, match="is not a card"):
        load_classifier(str(trained))
    card.unlink()
    with pytest.raises(ClassifierError, match=r"no card net\.json .*\{name: lenet, weights: net"):
        load_classifier(str(trained))
    trained.unlink()
    with pytest.raises(ClassifierError, match="no such file"):
        load_classifier(str(trained))


def test_other_options_make_no_sense(trained: Path) -> None:
    with pytest.raises(ClassifierError, match="input_shape cannot be set for trained weights"):
        load_classifier({"name": str(trained), "input_shape": [1, 16, 16]})
