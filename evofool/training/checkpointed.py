"""A training that saves checkpoints, can be stopped, and goes on from its last checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from evofool.errors import Interrupted, UsageError
from evofool.training.fitting import FitStep, Fitting
from evofool.training.loop import CHECKPOINT_SECONDS, TrainProgress
from evofool.training.state import Checkpoints, State


@dataclass(frozen=True)
class Fitted:
    """What a training came to.

    Attributes:
        loss: the mean of the last epoch.
        seconds: spent, over all processes.
    """

    loss: float
    seconds: float


def fit_checkpointed(
    fitting: Fitting,
    checkpoints: Checkpoints,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Fitted:
    """Trains to the end from the checkpoint, if there is one; the caller discards it.

    Args:
        fitting: as it begins, its net with the initial weights.
        checkpoints: where they are kept; their identity is what must be equal to go on.
        progress: called after every step.
        should_stop: called after every step; if it returns true, a checkpoint is written and the
            training ends.

    Raises:
        UsageError: the checkpoint is damaged or of another training.
        Diverged: the loss or a weight is no longer finite.
        Interrupted: `should_stop` returned true.
    """
    return _Checkpointed(fitting, checkpoints, progress, should_stop).run()


class _Checkpointed:
    def __init__(
        self,
        fitting: Fitting,
        checkpoints: Checkpoints,
        progress: Callable[[TrainProgress], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self.fitting, self.checkpoints = fitting, checkpoints
        self.progress, self.should_stop = progress, should_stop
        self.start = self.saved_at = time.perf_counter()
        self.before, self.resumed_at = 0.0, 0
        self.total = 0.0  # of the losses of this epoch, batch by batch
        self.mean = float("nan")

    def run(self) -> Fitted:
        state = self.checkpoints.read()
        if state is not None:
            try:
                self.fitting.restore(state.step, state.tensors)
                self.total = state.measured["total"]
                self.mean = state.measured.get("mean", self.mean)
            except (ValueError, KeyError) as error:
                raise UsageError(
                    f"{self.checkpoints.path}: damaged checkpoint ({error}); remove it to start"
                    " over"
                ) from error
            self.resumed_at, self.before = state.step, state.seconds
        self.fitting.run(self._after)
        self.fitting.check_weights()
        return Fitted(self.mean, self._seconds)

    @property
    def _seconds(self) -> float:
        return self.before + time.perf_counter() - self.start

    def _after(self, step: FitStep) -> None:
        self.total += step.loss
        if step.ends_epoch:
            self.mean, self.total = self.total / self.fitting.batches.steps, 0.0
        if self.progress is not None:
            here = time.perf_counter() - self.start
            self.progress(
                TrainProgress(
                    step.epoch, self.fitting.epochs, step.step, self.fitting.steps, step.loss,
                    None, here, step.accuracy, None, self.resumed_at,
                )
            )  # fmt: skip
        stop = self.should_stop is not None and self.should_stop()
        due = time.perf_counter() - self.saved_at >= CHECKPOINT_SECONDS
        if step.ends_epoch or stop or due:
            self._save(step)
        if stop and step.step < self.fitting.steps:
            raise Interrupted(f"stopped after step {step.step} of {self.fitting.steps}")

    def _save(self, step: FitStep) -> None:
        self.fitting.check_weights()
        epochs = step.epoch if step.ends_epoch else step.epoch - 1
        measured = {"total": self.total}
        if not math.isnan(self.mean):  # before the first epoch's end, and no JSON
            measured["mean"] = self.mean
        self.checkpoints.write(
            State(step.step, epochs, self._seconds, measured, self.fitting.state())
        )
        self.saved_at = time.perf_counter()
