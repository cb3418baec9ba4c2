"""SqueezeNet 1.1 (Iandola et al. 2016), as a user would bring it: ``classifier=PATH.py:function``.

Reads ``imagenet_squeezenet1_1.fp16.safetensors`` from ``$EVOFOOL_DATA/weights``.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

from evofool.classifiers import Classifier, Resize, from_module

SIDE = 227


class CaffeSqueezeNet(nn.Module):
    """Caffe's: blue, green and red in levels of 255 less their means; a last padding of 1."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.net = squeezenet1_1()
        self.net.classifier[1].padding = (1, 1)
        self.net.load_state_dict(weights)
        self.register_buffer("mean", torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images.flip(1) * 255 - self.mean)


def squeezenet() -> Classifier:
    """3 x 227 x 227 to the logits of 1000 classes."""
    path = Path(os.environ["EVOFOOL_DATA"]) / "weights" / "imagenet_squeezenet1_1.fp16.safetensors"
    weights = {key: tensor.float() for key, tensor in load_file(path).items()}
    return from_module(
        CaffeSqueezeNet(weights),
        input_shape=(3, SIDE, SIDE),
        name="squeezenet-1.1",
        labels=SqueezeNet1_1_Weights.DEFAULT.meta["categories"],
        resize=Resize(round(SIDE / 0.875)),
        preprocessing=f"centre crop {SIDE}, BGR, 255 x - (104, 117, 123)",
        keep=True,
    )
