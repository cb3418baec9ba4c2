"""The LeNet of Nguyen et al. 2015, as a user would bring it: ``classifier=PATH.py:function``.

Reads ``mnist_lenet_nguyen2015.safetensors`` from ``$EVOFOOL_DATA/weights``.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from evofool.classifiers import Classifier, from_module


class CaffeLeNet(nn.Module):
    """Caffe's LeNet on (pixel - mean) / 256: no activation after the convolutions."""

    def __init__(self, tensors: dict[str, torch.Tensor], subtract_mean: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.ip1, self.ip2 = nn.Linear(800, 500), nn.Linear(500, 10)
        mean = tensors.pop("mean")
        self.load_state_dict(tensors)
        self.register_buffer("mean", mean if subtract_mean else torch.zeros_like(mean))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = (images * 255 - self.mean) / 256
        x = nn.functional.max_pool2d(self.conv1(x), 2, ceil_mode=True)
        x = nn.functional.max_pool2d(self.conv2(x), 2, ceil_mode=True)
        return self.ip2(torch.relu(self.ip1(x.flatten(1))))


def _load(subtract_mean: bool) -> Classifier:
    path = Path(os.environ["EVOFOOL_DATA"]) / "weights" / "mnist_lenet_nguyen2015.safetensors"
    net = CaffeLeNet(load_file(path), subtract_mean)
    return from_module(net, input_shape=(1, 28, 28))


def without_mean() -> Classifier:
    """Input pixel / 256, as the weights were trained: 99.18 % on the test set."""
    return _load(subtract_mean=False)


def with_mean() -> Classifier:
    """Input (pixel - mean) / 256, as the published settings say."""
    return _load(subtract_mean=True)
