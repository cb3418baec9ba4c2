"""Folding gives the same logits with fewer operations, and leaves alone what it cannot fold."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from evofool.classifiers import Classifier
from evofool.classifiers.nets.folding import fold_batchnorm


def count(module: nn.Module) -> int:
    return sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def largest_difference(first: nn.Module, second: nn.Module, shape: tuple[int, ...]) -> float:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float((first(images) - second(images)).abs().max())


def test_a_small_net(net: nn.Module) -> None:
    net.eval()
    before = copy.deepcopy(net.state_dict())
    folded = fold_batchnorm(net)
    assert count(net) == 1
    assert count(folded) == 0
    assert largest_difference(net, folded, (5, 3, 8, 8)) < 1e-6
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_lite0_loses_all_49(lite0: Classifier) -> None:
    module = lite0.module
    assert module is not None
    folded = fold_batchnorm(module)
    assert count(module) == 49
    assert count(folded) == 0
    assert not any(weight.requires_grad for weight in folded.parameters())
    assert largest_difference(module, folded, (2, 3, 224, 224)) < 5e-5


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_without_bias_or_affine(affine: bool, bias: bool) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4, affine=affine))
    net.train()(torch.rand(8, 3, 6, 6))
    net.eval()
    assert count(fold_batchnorm(net)) == 0
    assert largest_difference(net, fold_batchnorm(net), (2, 3, 6, 6)) < 1e-6


class Shared(nn.Module):
    """One convolution read by two normalisations: neither may be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.first = nn.BatchNorm2d(3)
        self.second = nn.BatchNorm2d(3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.conv(images)
        result: torch.Tensor = self.first(hidden) + self.second(hidden)
        return result


class Twice(nn.Module):
    """One convolution and one normalisation, called twice over."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.norm(self.conv(self.norm(self.conv(images))))
        return result


class Untraceable(nn.Module):
    """Its path depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.net(images)
        return result if bool(result.sum() > 0) else -result


@pytest.mark.parametrize(
    "module",
    [
        Shared(),
        Twice(),
        Untraceable(),
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)),
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_cannot_be_folded_is_left_as_it_is(module: nn.Module) -> None:
    module.eval()
    folded = fold_batchnorm(module)
    assert folded is not module
    assert count(folded) == count(module)
    assert largest_difference(module, folded, (2, 3, 5, 5)) == 0


def test_train_mode_is_not_folded(net: nn.Module) -> None:
    assert count(fold_batchnorm(net.train())) == 1
