"""A run of attacks on a net with prototypes is known by what they are, not by where they lie."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
from evofool.experiments.runs import verify
from evofool.store.experiment import ExperimentFolder

attack = partial(life.begin, AttackStudy)


def test_results_are_the_same_wherever_the_prototypes_lie(tmp_path: Path) -> None:
    """The features are the logits of a bundled net; at its corners it is sure of three classes."""
    addresses = []
    for name in ("here", "there"):
        points = tmp_path / name / "points.npz"
        points.parent.mkdir()
        np.savez(points, prototypes=np.eye(3, 10, dtype=np.float32), labels=["x", "y", "z"])
        config = {
            "classifier": {
                "name": "mnist-lenet",
                "prototypes": {"path": str(points), "similarity": "euclidean", "scale": 0.5},
            },
            "images": {"noise": "uniform", "count": 4},
            "attacks": [{"name": "pgd", "eps": 0.2, "steps": 5}],
            "seed": 1,
        }
        run = tmp_path / f"run-{name}"
        attack(config, run)
        with ExperimentFolder.open(run) as folder:
            addresses.append(sorted(folder.works()))
        assert [check.name for check in verify(run) if check.ok is False] == []
    assert addresses[0] == addresses[1]
