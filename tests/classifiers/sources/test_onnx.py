"""ONNX files as victims."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from evofool.classifiers import inspect_classifier, load_classifier


def test_an_onnx_file(write_onnx: Callable[..., Path]) -> None:
    path = write_onnx()
    classifier = load_classifier("tiny.onnx", base=path.parent)
    assert classifier.onnx == path
    assert classifier.input_shape == (3, 8, 8)
    assert classifier.labels == ("0", "1", "2", "3")
    assert classifier.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert classifier.source == (path, classifier.digest)
    assert not classifier.white_box
    inspected = inspect_classifier("tiny.onnx", base=path.parent)
    assert inspected.ready
    assert inspected.n_classes == 4


def test_a_dynamic_size_comes_from_the_spec(write_onnx: Callable[..., Path]) -> None:
    path = write_onnx(side="side")
    classifier = load_classifier({"name": str(path), "input_shape": [3, 8, 8]})
    assert classifier.input_shape == (3, 8, 8)


def test_weights_beside_the_graph_count(write_onnx: Callable[..., Path]) -> None:
    path = write_onnx(external=True)
    beside = path.parent / "tiny.data"
    digest = load_classifier(str(path)).digest
    assert digest == hashlib.sha256(path.read_bytes() + beside.read_bytes()).hexdigest()
    beside.unlink()
    inspected = inspect_classifier(str(path))
    assert not inspected.ready
    assert "tiny.data" in inspected.missing


@pytest.mark.parametrize(("crops", "side"), [(1, 8), (10, 9)])
def test_crops(write_onnx: Callable[..., Path], crops: int, side: int) -> None:
    spec = {"name": str(write_onnx()), "crops": crops}
    assert load_classifier(spec).input_shape == (3, side, side)
    assert inspect_classifier(spec).input_shape == (3, side, side)
