"""The loop one writes first with DEAP: individuals that are lists, one image a call of the net."""

from __future__ import annotations

import random
from typing import Any

import torch
from deap import base, creator, tools
from torch import nn

GENES = 784
CLASSES = 10


def _toolbox() -> base.Toolbox:
    if not hasattr(creator, "NaiveIndividual"):
        creator.create("NaiveFitness", base.Fitness, weights=(1.0,))
        creator.create("NaiveIndividual", list, fitness=creator.NaiveFitness)
    toolbox = base.Toolbox()
    toolbox.register("gene", random.random)
    toolbox.register("individual", tools.initRepeat, creator.NaiveIndividual, toolbox.gene, n=GENES)
    toolbox.register("mate", tools.cxSimulatedBinaryBounded, eta=10.0, low=0.0, up=1.0)
    toolbox.register("mutate", tools.mutPolynomialBounded, eta=15.0, low=0.0, up=1.0, indpb=0.1)
    return toolbox


def confidences(net: nn.Module, genes: list[float]) -> list[float]:
    """The ten confidences of one image."""
    with torch.no_grad():
        image = torch.tensor(genes, dtype=torch.float32).reshape(1, 1, 28, 28)
        found: list[float] = torch.softmax(net(image), dim=1)[0].tolist()
    return found


def campaign(
    net: nn.Module, initial: int, children: int, crossover: float, seed: int = 1
) -> list[float]:
    """A champion a class; their confidences in the end.

    Args:
        net: the victim, one 1 x 28 x 28 image to ten logits.
        initial: random images.
        children: images bred of champions, two at a time.
        crossover: probability of two parents to be crossed before their children mutate.
        seed: of Python's generator, which DEAP uses.
    """
    random.seed(seed)
    toolbox = _toolbox()
    champions: list[list[float]] = [[] for _ in range(CLASSES)]
    best = [float("-inf")] * CLASSES

    def offer(child: Any) -> None:
        scores = confidences(net, child)
        child.fitness.values = (max(scores),)
        for c, score in enumerate(scores):
            if score > best[c]:
                champions[c], best[c] = child, score

    for _ in range(initial):
        offer(toolbox.individual())
    for _ in range(children // 2):
        pair = [toolbox.clone(random.choice(champions)) for _ in range(2)]
        if random.random() < crossover:
            toolbox.mate(*pair)
        for child in pair:
            del child.fitness.values
            toolbox.mutate(child)
        for child in pair:
            offer(child)
    return best
