"""Fitting a module on data: the only place that uses train mode."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from evofool.training.config import (
    AdversaryConfig,
    EnsembleAdversaryConfig,
    FgsmAdversaryConfig,
    OptimiserConfig,
    PgdAdversaryConfig,
    TrainConfig,
)

if TYPE_CHECKING:
    from evofool.training.adversary import (
        Adversary,
        FgsmAdversary,
        PgdAdversary,
        Source,
        static_source,
    )
    from evofool.training.fitting import Diverged, fit, initial
    from evofool.training.loop import TrainProgress, TrainResult, train
    from evofool.training.losses import Losses, cross_entropy
    from evofool.training.measure import measure_accuracy, measure_adversarial
    from evofool.training.penalties import Penalty

__all__ = [
    "Adversary",
    "AdversaryConfig",
    "Diverged",
    "EnsembleAdversaryConfig",
    "FgsmAdversary",
    "FgsmAdversaryConfig",
    "Losses",
    "OptimiserConfig",
    "Penalty",
    "PgdAdversary",
    "PgdAdversaryConfig",
    "Source",
    "TrainConfig",
    "TrainProgress",
    "TrainResult",
    "cross_entropy",
    "fit",
    "initial",
    "measure_accuracy",
    "measure_adversarial",
    "static_source",
    "train",
]

_HOMES = {
    "adversary": (
        "Adversary",
        "FgsmAdversary",
        "PgdAdversary",
        "Source",
        "static_source",
    ),
    "fitting": ("Diverged", "fit", "initial"),
    "loop": ("TrainProgress", "TrainResult", "train"),
    "losses": ("Losses", "cross_entropy"),
    "measure": ("measure_accuracy", "measure_adversarial"),
    "penalties": ("Penalty",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    # All but configs needs torch, which takes seconds to import; checking a config does not.
    if name in _HOME:
        return getattr(import_module(f"evofool.training.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
