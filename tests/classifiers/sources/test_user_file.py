"""``path/to/file.py:function``: a module, a predict function, or a ready classifier."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.classifiers.base import short_name
from evofool.errors import ClassifierError

MODULE = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 3))
"""
PREDICT = """
import numpy as np

def make():
    def predict(images):
        assert images.dtype == np.uint8
        share = images.mean(axis=(1, 2, 3)) / 255
        return np.stack([share, 1 - share], axis=1)
    return predict
"""
READY = """
from dataclasses import dataclass
from evofool.classifiers import from_predict
import helper

@dataclass
class Unused:
    x: "int" = 0

def make():
    return from_predict(helper.predict, input_shape=(1, 5, 6), labels=["light", "dark"])
"""
HELPER = """
import numpy as np

def predict(images):
    share = images.mean(axis=(1, 2, 3)) / 255
    return np.stack([share, 1 - share], axis=1)
"""


def test_a_module(user_file: Callable[[str], Path]) -> None:
    path = user_file(MODULE)
    spec = {"name": "victim.py:make", "input_shape": [3, 4, 4], "labels": ["a", "b", "c"]}
    classifier = load_classifier(spec, base=path.parent)
    assert classifier.white_box
    assert classifier.labels == ("a", "b", "c")
    assert classifier.source == (path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert classifier.module is not None
    assert not classifier.module.training


def test_mean_std_output_and_link(user_file: Callable[[str], Path]) -> None:
    path = user_file(MODULE)
    classifier = load_classifier(
        {
            "name": f"{path}:make",
            "input_shape": [3, 4, 4],
            "mean": [0.5],
            "std": [0.25, 0.25, 0.5],
            "output": "logits",
            "link": "sigmoid",
        }
    )
    assert classifier.link == "sigmoid"
    assert classifier.preprocessing == "(x - 0.5) / (0.25, 0.25, 0.5)"


def test_a_predict_function(user_file: Callable[[str], Path]) -> None:
    path = user_file(PREDICT)
    classifier = load_classifier({"name": f"{path}:make", "input_shape": [1, 5, 6]})
    assert classifier.predict is not None
    assert classifier.output == "probs"
    assert classifier.labels == ("0", "1")
    assert classifier.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_ready_classifier_without_a_name_is_named_in_its_errors(
    user_file: Callable[[str], Path],
) -> None:
    path = user_file(READY.replace('labels=["light", "dark"]', 'labels=["a", "b", "c"]'))
    (path.parent / "helper.py").write_text(HELPER, encoding="utf-8")
    with pytest.raises(ClassifierError, match=r"^classifier .*victim\.py:make: gives 2 classes"):
        load_classifier(f"{path}:make")


def test_a_ready_classifier_and_a_file_beside_it(user_file: Callable[[str], Path]) -> None:
    path = user_file(READY)
    (path.parent / "helper.py").write_text(HELPER, encoding="utf-8")
    before = list(sys.path)
    classifier = load_classifier(f"{path}:make")
    assert sys.path == before
    assert classifier.name == f"{path}:make"
    assert classifier.labels == ("light", "dark")
    assert classifier.source is not None
    assert classifier.headline == "victim.py:make"


NAMED = """
from evofool.classifiers import from_module, load_classifier
from torch import nn

def net():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    return from_module(layers, input_shape=(3, 4, 4), name="My net")

def bundled():
    return load_classifier("mnist-lenet")
"""


def test_the_name_that_a_function_gives_is_what_pages_show(
    user_file: Callable[[str], Path],
) -> None:
    """The config's name is what a run loads it by."""
    path = user_file(NAMED)
    for function, title in (("net", "My net"), ("bundled", "mnist-lenet")):
        classifier = load_classifier(f"{path}:{function}")
        assert (classifier.name, classifier.headline) == (f"{path}:{function}", title)
        assert classifier.source == (path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mnist-lenet", "mnist-lenet"),
        ("torchvision:alexnet", "torchvision:alexnet"),
        ("/home/me/nets/victim.py:make", "victim.py:make"),
        ("C:\\nets\\victim.py:make", "victim.py:make"),
        ("../nets/tiny.onnx", "tiny.onnx"),
        ("runs/jpeg/victim.yaml", "jpeg/victim.yaml"),
        ("victim.yaml", "victim.yaml"),
    ],
)
def test_a_path_is_no_headline(name: str, shown: str) -> None:
    assert short_name(name) == shown


def test_inspecting_runs_nothing(user_file: Callable[[str], Path]) -> None:
    path = user_file("raise SystemExit('ran')\ndef make(): ...")
    inspected = inspect_classifier({"name": f"{path}:make", "input_shape": [1, 5, 6]})
    assert inspected.ready
    assert inspected.input_shape == (1, 5, 6)
    assert inspected.n_classes is None


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("class make: ...", True),
        ("make = lambda: 1", True),
        ("from other import thing as make", True),
        ("try:\n    from a import make\nexcept ImportError:\n    make = None", True),
        ("def other(): ...", False),
        ("", False),
    ],
)
def test_inspecting_finds_the_function(
    user_file: Callable[[str], Path], text: str, ready: bool
) -> None:
    path = user_file(text)
    inspected = inspect_classifier(f"{path}:make")
    assert inspected.ready is ready
    assert ready or "does not define make" in inspected.missing


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    inspected = inspect_classifier("absent.py:make", base=tmp_path)
    assert not inspected.ready
    assert "absent.py: no such file" in inspected.missing
