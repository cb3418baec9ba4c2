"""Architectures with random weights, for measuring speed where nothing can be downloaded.

    evofool bench --classifier docs/examples/untrained.py:resnet50

A net costs the same whatever it has learnt; what it says means nothing.
"""

from __future__ import annotations

import torch
import torchvision

from evofool.classifiers import Classifier, from_module


def _victim(name: str) -> Classifier:
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return from_module(net, input_shape=(3, 224, 224), name=f"untrained-{name}", mean=mean, std=std)


def resnet50() -> Classifier:
    """25.6 million weights, 4.1 billion multiply-adds an image."""
    return _victim("resnet50")


def alexnet() -> Classifier:
    """The architecture of the published campaign, as torchvision has it."""
    return _victim("alexnet")
