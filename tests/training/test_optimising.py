"""Our optimiser against those of PyTorch, bit for bit, and without PyTorch's compiler."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from evofool.training.config import OptimiserConfig
from evofool.training.optimising import Optimiser

CONFIGS = {
    "sgd": OptimiserConfig(lr=0.1, momentum=0, weight_decay=0),
    "momentum": OptimiserConfig(lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": OptimiserConfig(name="adam", lr=0.1, weight_decay=0),
    "adam with decay": OptimiserConfig(name="adam", lr=0.1, weight_decay=0.01),
    "adamw": OptimiserConfig(name="adamw", lr=0.1, weight_decay=0.01),
}


def theirs(net: nn.Module, c: OptimiserConfig) -> Any:
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    if c.name == "sgd":
        return torch.optim.SGD(
            weights, c.lr, momentum=c.momentum, weight_decay=c.weight_decay, nesterov=c.momentum > 0
        )
    kind = torch.optim.AdamW if c.name == "adamw" else torch.optim.Adam
    return kind(weights, c.lr, weight_decay=c.weight_decay)


def make_net() -> nn.Sequential:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.Linear(3, 2))
    net[2].bias.requires_grad_(False)
    return net


def descend(net: nn.Sequential, optimiser: Any, steps: range) -> None:
    """Some steps, in every other one of which the last layer has no gradient."""
    for step in steps:
        draws = torch.Generator().manual_seed(step)
        x = torch.randn(4, 5, generator=draws)
        optimiser.zero_grad()
        (net if step % 2 else net[:3])(x).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_weights_and_memory_are_those_of_pytorch(config: OptimiserConfig) -> None:
    net, other = make_net(), make_net()
    own, reference = Optimiser(net.parameters(), config), theirs(other, config)
    for rate, steps in ((0.1, range(6)), (0.01, range(6, 12))):
        own.rate = reference.param_groups[0]["lr"] = rate
        descend(net, own, steps)
        descend(other, reference, steps)
    for ours, wanted in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, wanted)
    remembered = {
        index: {name: value for name, value in entries.items() if value is not None}
        for index, entries in reference.state_dict()["state"].items()
    }
    assert own.memory.keys() == {index for index, held in remembered.items() if held}
    for index, held in own.memory.items():
        assert held.keys() == remembered[index].keys()
        assert all(torch.equal(value, remembered[index][name]) for name, value in held.items())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_is_remembered_goes_on_elsewhere(config: OptimiserConfig) -> None:
    net = make_net()
    own = Optimiser(net.parameters(), config)
    descend(net, own, range(5))
    other = copy.deepcopy(net)
    resumed = Optimiser(other.parameters(), config)
    resumed.restore(own.memory)
    descend(net, own, range(5, 9))
    descend(other, resumed, range(5, 9))
    for ours, wanted in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, wanted)


def test_the_memory_of_another_method_is_refused() -> None:
    net = make_net()
    own = Optimiser(net.parameters(), CONFIGS["adam"])
    descend(net, own, range(2))
    with pytest.raises(KeyError, match="momentum_buffer"):
        Optimiser(net.parameters(), CONFIGS["momentum"]).restore(own.memory)


def test_the_compiler_of_pytorch_is_not_imported() -> None:
    """In a process of its own: another test may have imported it."""
    program = """
import sys, torch
from evofool.training.config import OptimiserConfig
from evofool.training.optimising import Optimiser
for name in ("sgd", "adam", "adamw"):
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    Optimiser([weight], OptimiserConfig(name=name)).step()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
