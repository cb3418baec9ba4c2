"""Fitting a module on data: the only place that uses train mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evofool.training.config import OptimiserConfig, TrainConfig

if TYPE_CHECKING:
    from evofool.training.loop import TrainProgress, TrainResult, measure_accuracy, train

__all__ = [
    "OptimiserConfig",
    "TrainConfig",
    "TrainProgress",
    "TrainResult",
    "measure_accuracy",
    "train",
]


def __getattr__(name: str) -> object:
    # The loop needs torch, which takes seconds to import; checking a config does not.
    if name in __all__:
        from evofool.training import loop

        return getattr(loop, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
