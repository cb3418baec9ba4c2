"""What is measured while a net is trained. Figures to be reported come from a Scorer instead."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from evofool.data import Dataset
from evofool.images import to_float
from evofool.training import keys
from evofool.training.adversary import FgsmAdversary, PgdAdversary, Source
from evofool.training.fitting import evaluating

_BATCH = 1000
_ATTACKED = 128


def measure_accuracy(net: nn.Module, dataset: Dataset, device: torch.device | None = None) -> float:
    """Share of `dataset` whose largest output is its label; leaves the net's mode as it was."""
    right = 0
    with evaluating(net), torch.inference_mode():
        for begin in range(0, len(dataset), _BATCH):
            part = slice(begin, begin + _BATCH)
            images = torch.from_numpy(to_float(dataset.images[part])).to(device)
            predicted = net(images).argmax(1).cpu().numpy()
            right += int((predicted == dataset.labels[part]).sum())
    return right / len(dataset)


def measure_adversarial(
    own: Source,
    dataset: Dataset,
    count: int,
    adversary: FgsmAdversary | PgdAdversary,
    seed: int,
    device: torch.device | None = None,
) -> float:
    """Share of the first `count` images that stay right under the adversary, in the white box.

    It climbs the loss of the true label, on the net itself, from the same random starts each time;
    images stay floats. The net's mode is left as it was.
    """
    attack = replace(adversary, target="label")
    if isinstance(attack, FgsmAdversary):
        attack = replace(attack, others=())
    count = min(count, len(dataset))
    right = 0
    with evaluating(own.net):
        for number, begin in enumerate(range(0, count, _ATTACKED), 1):
            part = slice(begin, min(begin + _ATTACKED, count))
            images = torch.from_numpy(to_float(dataset.images[part])).to(device)
            labels = torch.from_numpy(dataset.labels[part]).to(device)
            draws = keys.generator(seed, 0, number, keys.Purpose.CHECK)
            attacked = attack(own, images, labels, draws, draws)
            with torch.no_grad():
                right += int((own.net(attacked).argmax(1) == labels).sum())
    return right / count
