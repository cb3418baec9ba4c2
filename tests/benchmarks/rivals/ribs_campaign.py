"""pyribs' MAP-Elites against mnist-lenet as its tutorial on fooling MNIST does it, as a process.

    python ribs_campaign.py EVALUATIONS

A `GridArchive` with a cell a digit; a child's cell is the digit it is taken for, its objective the
confidence of that; a `GaussianEmitter` of sigma 0.5 that starts from grey. Batches are evofool's
generations, not the tutorial's 30, which would cost pyribs time, and go through the same Scorer.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from ribs.archives import GridArchive
from ribs.emitters import GaussianEmitter
from ribs.schedulers import Scheduler

from evofool import Scorer, load_classifier

GENES = 784
CHILDREN = 200


def campaign(evaluations: int) -> dict[str, float]:
    """Evaluates so many images; seconds of the loop alone, cells filled, their confidence."""
    archive = GridArchive(solution_dim=GENES, dims=[10], ranges=[(0, 10)], seed=1)
    emitter = GaussianEmitter(
        archive,
        sigma=0.5,
        x0=np.full(GENES, 0.5),
        lower_bounds=np.zeros(GENES),
        upper_bounds=np.ones(GENES),
        batch_size=CHILDREN,
        seed=1,
    )
    scheduler = Scheduler(archive, [emitter])
    with Scorer(load_classifier("mnist-lenet"), batch=100, workers=2) as scorer:
        began = time.perf_counter()
        while scorer.queries < evaluations:
            solutions = scheduler.ask()
            levels = (solutions * 255).astype(np.uint8).reshape(-1, 1, 28, 28)
            scores = scorer.score(levels)
            labels = scores.labels
            objective = scores.confidence[np.arange(len(labels)), labels]
            scheduler.tell(objective, labels[:, None])
        seconds = time.perf_counter() - began
        objectives = archive.data("objective")
        return {
            "seconds": seconds,
            "evaluations": scorer.queries,
            "cells_filled": len(objectives),
            "median_of_filled": float(np.median(objectives)),
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(campaign(int(sys.argv[1]))) + "\n")
