"""Tiny victims: made in milliseconds, the same every time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from evofool.classifiers import Classifier, load_classifier

SHAPE = (3, 8, 8)
CLASSES = 4


class TinyNet(nn.Module):
    """conv, batch normalisation, ReLU, mean, linear: 4 classes of 3 x 8 x 8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.norm(self.conv(images)))
        result: torch.Tensor = self.fc(hidden.mean((2, 3)))
        return result


@pytest.fixture
def net() -> nn.Module:
    """A `TinyNet` with statistics that differ from 0 and 1, in train mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = TinyNet()
        with torch.no_grad():
            for tensor in (module.norm.running_mean, module.norm.bias):
                tensor.normal_(0, 0.3)
            for tensor in (module.norm.running_var, module.norm.weight):
                tensor.uniform_(0.5, 2.0)
    return module


@pytest.fixture
def write_onnx(tmp_path: Path) -> Callable[..., Path]:
    """Writes an ONNX linear classifier; keywords spoil it in one way each."""

    def write(
        *,
        batch: int | str = "n",
        side: int | str = 8,
        kind: int = TensorProto.FLOAT,
        outputs: int = 1,
        external: bool = False,
    ) -> Path:
        weights = np.random.default_rng(0).normal(size=(3 * 8 * 8, CLASSES)).astype(np.float32)
        nodes = [
            helper.make_node("Flatten", ["x"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "w"], ["y0"]),
        ]
        if kind != TensorProto.FLOAT:
            nodes.insert(0, helper.make_node("Cast", ["x0"], ["x"], to=TensorProto.FLOAT))
        if outputs == 2:
            nodes.append(helper.make_node("Relu", ["y0"], ["y1"]))
        graph = helper.make_graph(
            nodes,
            "tiny",
            [
                helper.make_tensor_value_info(
                    "x" if kind == TensorProto.FLOAT else "x0", kind, [batch, 3, side, side]
                )
            ],
            [
                helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [batch, CLASSES])
                for i in range(outputs)
            ],
            [numpy_helper.from_array(weights, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        path = tmp_path / "tiny.onnx"
        onnx.save(
            model,
            str(path),
            save_as_external_data=external,
            location="tiny.data",
            size_threshold=0,
        )
        return path

    return write


@pytest.fixture
def user_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes `victim.py` with the given text."""

    def write(text: str) -> Path:
        path = tmp_path / "victim.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data sets, for tests marked ``data``."""
    folder = os.environ.get("EVOFOOL_DATA")
    if not folder:
        pytest.skip("EVOFOOL_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def lite0() -> Classifier:
    """The bundled ImageNet victim; loading takes a second or two, so once for all tests."""
    return load_classifier("imagenet-efficientnet-lite0")
