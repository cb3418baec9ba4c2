"""Random draws of a training, keyed by what they are for: (seed, epoch, step).

So a training that was interrupted goes on with the draws it would have made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What is drawn for. Numbers are part of every result: never reuse one."""

    DROPOUT = 1
    ADVERSARY = 2
    SOURCE = 3
    CHECK = 4
    PENALTY = 5


def key(seed: int, epoch: int, step: int, purpose: Purpose) -> int:
    """The seed of one step's draws for one purpose; epoch and step count from 1."""
    words = np.random.SeedSequence([seed, epoch, step, purpose]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))  # torch's seeds are signed


def generator(seed: int, epoch: int, step: int, purpose: Purpose) -> torch.Generator:
    """A generator on the CPU, whatever the device, so that all devices see the same draws."""
    return torch.Generator().manual_seed(key(seed, epoch, step, purpose))


@contextmanager
def layers_draw_from(seed: int, device: torch.device) -> Iterator[None]:
    """Makes dropout and initial weights, which use the global generators, draw from `seed`.

    Afterwards the global generators are as before.
    """
    gpus = [] if device.type == "cpu" else list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        if gpus:
            torch.cuda.manual_seed_all(seed)
        yield
