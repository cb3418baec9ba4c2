"""The ``kind: train`` config."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class OptimiserConfig(BaseModel):
    """How weights are updated.

    Attributes:
        name: stochastic gradient descent with momentum, or Adam.
        lr: step size at the start.
        momentum: of ``sgd`` (Nesterov's where it is not 0).
        weight_decay: L2 penalty.
        schedule: keep the step size, or let it fall to 0 along half a cosine, batch by batch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(default=0.02, gt=0, le=10, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    schedule: Literal["constant", "cosine"] = "cosine"


class TrainConfig(BaseModel):
    """A net to train; unknown keys fail.

    Attributes:
        kind: always ``train``.
        name: file name of what is written (``NAME.safetensors`` and ``NAME.json``).
        architecture: the net.
        dataset: a data set with the splits ``train`` and ``test``.
        epochs: passes over the training split; the weights after the last are kept.
        batch: images a step.
        optimiser: see `OptimiserConfig`.
        shift: images are moved at random by up to so many pixels each way.
        mirror: images are mirrored left to right at random.
        seed: of initial weights, order, and augmentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["train"] = "train"
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    architecture: Literal["lenet"] = "lenet"
    dataset: str = Field(min_length=1)
    epochs: int = Field(ge=1, le=10_000)
    batch: int = Field(default=128, ge=1, le=65_536)
    optimiser: OptimiserConfig = OptimiserConfig()
    shift: int = Field(default=0, ge=0, le=8)
    mirror: bool = False
    seed: int = Field(default=1, ge=0, lt=2**32)
