"""Two little nets of four classes, in PyTorch, with a hidden layer; the second is another draw."""

from __future__ import annotations

import torch
from torch import nn

from evofool.classifiers import Classifier, from_module

LABELS = ("ant", "bee", "cat", "dog")
SIDE = 8


def weights(seed: int) -> list[torch.Tensor]:
    """Of the two layers: 12 x 64, (12,), 4 x 12, (4,)."""
    rng = torch.Generator().manual_seed(seed)
    shapes = ((12, SIDE * SIDE), (12,), (4, 12), (4,))
    return [torch.randn(shape, generator=rng) * (0.5 if len(shape) == 2 else 0) for shape in shapes]


def net(seed: int) -> nn.Module:
    """64 values, 12 rectified units, 4 classes."""
    first, second = nn.Linear(SIDE * SIDE, 12), nn.Linear(12, 4)
    with torch.no_grad():
        parameters = (first.weight, first.bias, second.weight, second.bias)
        for parameter, value in zip(parameters, weights(seed), strict=True):
            parameter.copy_(value)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second)


def victim() -> Classifier:
    """Of 1 x 8 x 8 pictures."""
    return from_module(net(1), input_shape=(1, SIDE, SIDE), name="layers", labels=list(LABELS))


def other() -> Classifier:
    """The same classes in another order, near the first net's weights."""
    module = net(1)
    with torch.no_grad():
        for parameter, noise in zip(module.parameters(), weights(2), strict=True):
            parameter.add_(0.6 * noise)
    order = [2, 0, 3, 1]
    with torch.no_grad():
        last = module[3]
        assert isinstance(last, nn.Linear)
        last.weight.copy_(last.weight[order].clone())
        last.bias.copy_(last.bias[order].clone())
    labels = [LABELS[k] for k in order]
    return from_module(module, input_shape=(1, SIDE, SIDE), name="other", labels=labels)
