"""The schedule in steps, and a checkpointed fitting on its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from evofool.errors import UsageError
from evofool.training import Diverged, OptimiserConfig
from evofool.training.batches import Batches
from evofool.training.checkpointed import fit_checkpointed
from evofool.training.fitting import Fitting
from evofool.training.state import Checkpoints

IMAGES = np.random.default_rng(1).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
TARGETS = IMAGES.reshape(20, -1)[:, :2].astype(np.float32) / 255


def fitting(optimiser: OptimiserConfig, factor: float = 1.0) -> Fitting:
    torch.manual_seed(0)
    return Fitting(
        nn.Sequential(nn.Flatten(), nn.Linear(16, 2)),
        Batches(IMAGES, TARGETS, 2, 1),
        epochs=2,
        optimiser=optimiser,
        seed=1,
        loss=lambda outputs, wanted: factor * ((outputs - wanted) ** 2).mean(1),
    )


def test_the_rate_falls_at_60_and_at_90_per_cent() -> None:
    training = fitting(OptimiserConfig(name="adam", lr=0.5, schedule="steps"))
    rates: list[float] = []
    training.run(lambda _: rates.append(training._optimiser.rate))
    assert rates == pytest.approx([0.5] * 12 + [0.05] * 6 + [0.005] * 2)


def test_the_mean_is_of_the_last_epoch(tmp_path: Path) -> None:
    steady = OptimiserConfig(lr=0.01, schedule="constant")
    losses: list[float] = []
    found = fit_checkpointed(
        fitting(steady), Checkpoints(tmp_path, "net", {"of": 1}), lambda p: losses.append(p.loss)
    )
    assert found.loss == pytest.approx(np.mean(losses[10:]))
    with pytest.raises(UsageError, match="to another training: of is 1 there and 2 here"):
        fit_checkpointed(fitting(steady), Checkpoints(tmp_path, "net", {"of": 2}))


def test_what_diverges_says_where(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="step 1"):
        fit_checkpointed(
            fitting(OptimiserConfig(), float("inf")), Checkpoints(tmp_path, "net", {})
        )  # fmt: skip
