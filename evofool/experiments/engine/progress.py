"""Where an experiment is: works done, images, active seconds, time left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from evofool.training import TrainProgress


@dataclass(frozen=True)
class Tally:
    """What a step has come to so far.

    Attributes:
        done: pictures that are through.
        of: all of them.
        hits: of those that are through, how many fool.
    """

    done: int
    of: int
    hits: int = 0


@dataclass(frozen=True)
class ExperimentProgress:
    """How far an experiment is.

    Attributes:
        step: what is running, in words.
        done: steps that are done; `steps` is how many there are.
        seconds: active ones.
        share_done: of the work, by images and the size of the nets' inputs.
        seconds_left: an estimate, None while there is nothing to go by.
        tally: of the step, None where it does not count pictures.
        queries: images sent to nets for answers by all steps, those of earlier processes included.
    """

    step: str
    done: int
    steps: int
    seconds: float
    share_done: float
    seconds_left: float | None
    tally: Tally | None = None
    queries: int = 0


OnProgress = Callable[[ExperimentProgress], None]


class Told(Protocol):
    """What a running work tells how far it is, and asks whether to stop: `Step`, as a rule."""

    def should_stop(self) -> bool: ...
    def reached(self, images: int) -> None: ...
    def asked(self, images: int) -> None: ...
    def tell(self, tally: Tally) -> None: ...
    def trained(self, p: TrainProgress) -> None: ...


class Step:
    """One step that is under way, told by whoever does it; several may be at once.

    Made by `Meter.begin`.
    """

    def __init__(self, meter: Meter, name: str, images: int, each: int) -> None:
        self._meter = meter
        self.name, self.planned, self.each = name, images, each
        self.sent = 0
        self.tally: Tally | None = None

    @property
    def effort(self) -> int:
        """What is done of it, see `Efforts`."""
        return min(self.sent, self.planned) * self.each

    def should_stop(self) -> bool:
        """Whether a stop was asked for."""
        return self._meter.should_stop()

    def reached(self, images: int) -> None:
        """So many images of it are done."""
        self.sent = images
        self._meter.report(self)

    def asked(self, images: int) -> None:
        """So many images more are sent to a net for answers."""
        self._meter.asked(images)

    def tell(self, tally: Tally) -> None:
        """What it has come to."""
        self.tally = tally
        self._meter.report(self)

    def trained(self, p: TrainProgress) -> None:
        """A step of a training, whose own time is told: what follows cannot be known yet."""
        self._meter.trained(p)

    def end(self) -> None:
        """It is done, or has failed."""
        self._meter.ended(self)


class Meter:
    """Counts what is done against what was planned, in images, and tells.

    Args:
        progress: told now and then.
        should_stop: asked before every request to a net.
        earlier: active seconds of processes before this one.
        queries: images that these have sent to nets for answers.
    """

    def __init__(
        self,
        progress: OnProgress | None,
        should_stop: Callable[[], bool] | None,
        earlier: float,
        queries: int = 0,
    ) -> None:
        self.should_stop = should_stop or (lambda: False)
        self._progress = progress
        self._earlier = earlier
        self._started = self._worked = time.perf_counter()
        self._queries = queries
        self._steps = self._total = self._done = self._before = self._new = 0
        self._going: list[Step] = []
        self._lock = threading.RLock()

    @property
    def seconds(self) -> float:
        """Active ones, over all processes."""
        return self._earlier + time.perf_counter() - self._started

    def plan(self, steps: int, effort: int) -> None:
        """How much there is to do, see `Efforts`."""
        self._steps, self._total = steps, effort
        self._worked = time.perf_counter()

    def skip(self, effort: int) -> None:
        """A step that an earlier process has done."""
        with self._lock:
            self._done += 1
            self._before += effort

    def begin(self, name: str, images: int, each: int = 1) -> Step:
        """A step of about so many images.

        Args:
            name: what is done.
            images: about so many.
            each: the effort of one of them.
        """
        step = Step(self, name, images, each)
        with self._lock:
            self._going.append(step)
            self.report(step)
        return step

    def ended(self, step: Step) -> None:
        """A step is done, or has failed."""
        with self._lock:
            self._going.remove(step)
            self._done += 1
            self._before += step.planned * step.each
            self._new += step.planned * step.each
            if self._going:
                self.report(self._going[-1])

    def asked(self, images: int) -> None:
        """So many images more are sent to a net for answers."""
        with self._lock:
            self._queries += images

    def trained(self, p: TrainProgress) -> None:
        """A step of a training."""
        with self._lock:
            if self._progress is None or len(self._going) > 1:
                return
            step = f"training, epoch {p.epoch}/{p.epochs}, loss {p.loss:.3f}"
            share = p.step / p.steps
            self._progress(ExperimentProgress(step, 0, 0, self.seconds, share, p.seconds_left))

    def report(self, step: Step) -> None:
        """Tell how far all is, and `step` by name."""
        with self._lock:
            if self._progress is None:
                return
            here = sum(each.effort for each in self._going)
            share = (self._before + here) / self._total if self._total else 0.0
            left = None
            if new := self._new + here:
                spent = time.perf_counter() - self._worked
                left = spent / new * max(0, self._total - self._before - here)
            others = len(self._going) - 1
            self._progress(
                ExperimentProgress(
                    f"{step.name} (and {others} more)" if others > 0 else step.name,
                    self._done,
                    self._steps,
                    self.seconds,
                    min(1.0, share),
                    left,
                    step.tally,
                    self._queries,
                )
            )
