"""A complete attack in one file: random corners of the ball, until one fools.

Name it in a config as ``attacks: [{name: docs/examples/corners.py:RandomCorners, eps: 8/255}]``, or
call it: ``RandomCorners(eps=0.1)(scorer, images, labels)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evofool.attacks import Attack
from evofool.attacks.base import Needs
from evofool.attacks.job import Job
from evofool.errors import UsageError


@dataclass(frozen=True)
class RandomCorners(Attack):
    """Adds eps or takes it away, by chance at each pixel, and keeps what fools.

    Attributes:
        eps: radius in the maximum norm, in fractions of 1.
        tries: corners that are tried.
    """

    name: ClassVar[str] = "random-corners"
    needs: ClassVar[Needs] = "scores"

    eps: float = 8 / 255
    tries: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tries < 1:
            raise UsageError(f"{self.name}: tries must be at least 1, not {self.tries}")

    def craft(self, job: Job) -> None:
        shape = job.clean.shape[1:]
        active = job.rows()
        for draw in range(self.tries):
            # from the image's own generator: no result depends on the others of the batch
            signs = np.stack([job.rng(row, draw).choice([-1.0, 1.0], shape) for row in active])
            moved = job.start[active] + np.float32(self.eps) * signs
            job.x[active] = np.clip(moved, 0, 1).astype(np.float32)
            scores = job.scores(active, job.on_lattice(active))  # booked on these images
            job.known(active, scores)  # what was scored is the picture: it is not scored twice
            fooled = job.hits(active, scores)
            job.open[active[fooled]] = False
            active = active[~fooled]
            if not len(active):
                return
