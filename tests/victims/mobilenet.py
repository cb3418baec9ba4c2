"""MobileNets (Howard et al. 2017, Sandler et al. 2018) from the op lists of TensorFlow Lite.

As a user would bring them: ``classifier=PATH.py:function``. Reads ``imagenet_mobilenet_*`` from
``$EVOFOOL_DATA/weights``: convolutions with their batch normalisation folded in, and the list of
operations in the metadata.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torchvision.models import MobileNet_V2_Weights

from evofool.classifiers import Classifier, Resize, from_module

SIDE = 224
ACTIVATIONS = {0: nn.Identity, 3: nn.ReLU6}
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
LEFT_OUT = ("RESHAPE", "SQUEEZE", "SOFTMAX")
"""What follows the last convolution: evofool wants logits, N x classes."""


class Clamp(nn.Module):
    """The range that the numbers of a quantised net can have."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.clamp(self.low, self.high)


def convolution(
    op: dict[str, Any], weight: torch.Tensor, bias: torch.Tensor, side: int
) -> nn.Sequential:
    """TensorFlow's SAME padding of a square of `side`, convolution, activation, range."""
    outputs, inputs, kernel, _ = weight.shape
    stride = op["stride"]
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    before, after = total // 2, total - total // 2
    groups = outputs if op["op"] == "DEPTHWISE_CONV_2D" else 1
    conv = nn.Conv2d(inputs * groups, outputs, kernel, stride, groups=groups)
    conv.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    pad = nn.ZeroPad2d((before, after, before, after))
    clamp = Clamp(*op["range"]) if "range" in op else nn.Identity()
    return nn.Sequential(pad, conv, ACTIVATIONS[op["act"]](), clamp)


class OpList(nn.Module):
    """A net as operations, each of which reads some numbered tensors and writes another."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        with safe_open(path, "pt") as file:
            known = file.metadata()
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.first = int(known["input_tensor"])
        self.ops = [op for op in json.loads(known["ops"]) if op["op"] not in LEFT_OUT]
        self.layers = nn.ModuleDict()
        sides = {self.first: SIDE}
        for op in self.ops:
            side = sides[op["inp"][0]]
            if op["op"] in CONVOLUTIONS:
                tensors = (weights.pop(f"conv{op['k']}.{part}") for part in ("weight", "bias"))
                self.layers[str(op["out"])] = convolution(op, *tensors, side)
                sides[op["out"]] = math.ceil(side / op["stride"])
            elif op["op"] == "AVERAGE_POOL_2D":
                self.layers[str(op["out"])] = nn.AdaptiveAvgPool2d(1)
                sides[op["out"]] = 1
            else:
                assert op["op"] == "ADD", f"{path}: cannot do {op['op']}"
                sides[op["out"]] = side
        assert not weights, f"{path}: no operation uses {', '.join(weights)}"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of the 1000 classes; the first of the 1001 outputs is "background"."""
        tensors = {self.first: images * 2 - 1}
        for op in self.ops:
            inputs = [tensors[number] for number in op["inp"]]
            out = op["out"]
            tensors[out] = sum(inputs) if op["op"] == "ADD" else self.layers[str(out)](*inputs)
        return tensors[out].flatten(1)[:, 1:]


def _load(name: str) -> Classifier:
    folder = Path(os.environ["EVOFOOL_DATA"]) / "weights"
    return from_module(
        OpList(folder / f"imagenet_{name}_{SIDE}.fp16.safetensors"),
        input_shape=(3, SIDE, SIDE),
        name=name.replace("_", "-"),
        labels=MobileNet_V2_Weights.DEFAULT.meta["categories"],
        resize=Resize(round(SIDE / 0.875)),
        preprocessing=f"shorter side 256 bicubic, centre crop {SIDE}, 2 x - 1",
        keep=True,
    )


def mobilenet_v1() -> Classifier:
    """MobileNet V1 with a quarter of the channels."""
    return _load("mobilenet_v1_0.25")


def mobilenet_v2() -> Classifier:
    """MobileNet V2."""
    return _load("mobilenet_v2_1.0")
