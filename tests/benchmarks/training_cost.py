"""Seconds of one core that an epoch of each shipped training takes, from a few of its steps.

Run by hand: ``uv run python tests/benchmarks/training_cost.py [NAME...]``. Pictures are random and
static sources untrained: neither changes the cost.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from evofool.classifiers.nets.architectures import build_architecture, with_scale
from evofool.config import load_model, shipped_folder
from evofool.training import EnsembleAdversaryConfig, Source, TrainConfig
from evofool.training.batches import Batches
from evofool.training.fitting import Fitting
from evofool.training.sources import Static, make_adversary

SETS = {
    "mnist": (60_000, (1, 28, 28), 10),
    "fashion-mnist": (60_000, (1, 28, 28), 10),
    "cifar10": (50_000, (3, 32, 32), 10),
    "gtsrb": (7_099, (3, 32, 32), 43),
}


def build(architecture: str, shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """An untrained net with its normalisation."""
    return with_scale(architecture, build_architecture(architecture, shape, n_classes), shape[0])


def seconds_per_step(config: TrainConfig) -> float:
    """CPU seconds with one thread, the first step not counted."""
    _, shape, n_classes = SETS[config.dataset]
    static: tuple[Static, ...] = ()
    if isinstance(config.adversary, EnsembleAdversaryConfig):
        static = tuple(
            Static(source.name, "", Source(build(source.name, shape, n_classes).eval()))
            for source in config.adversary.sources
        )
    count = (10 if static else 4) * config.batch  # sources are drawn: more steps to average over
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    labels = rng.integers(0, n_classes, count)
    fitting = Fitting(
        build(config.architecture, shape, n_classes),
        Batches(images, labels, config.batch, 1, config.shift, config.mirror),
        epochs=1,
        optimiser=config.optimiser,
        seed=1,
        adversary=make_adversary(config.adversary, static) if config.adversary else None,
    )
    times: list[float] = []
    fitting.run(lambda _: times.append(time.process_time()))
    return (times[-1] - times[0]) / (len(times) - 1)


def main(chosen: list[str]) -> None:
    """One line a config."""
    torch.set_num_threads(1)
    for path in sorted((shipped_folder() / "train").glob("*.yaml")):
        if chosen and path.stem not in chosen:
            continue
        config = load_model(Path(path), TrainConfig).config
        step = seconds_per_step(config)
        epoch = step * math.ceil(SETS[config.dataset][0] / config.batch)
        sys.stdout.write(
            f"{path.stem:18} {1000 * step:6.0f} ms a step {epoch:6.0f} s an epoch"
            f" {config.epochs:4d} epochs {epoch * config.epochs / 60:5.0f} min\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
