"""Where an experiment is: works done, images, active seconds, time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from evofool.errors import Interrupted
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
        self._step, self._planned, self._sent = "", 0, 0
        self._each = 1
        self._tally: Tally | None = None
        self._queries = queries
        self._steps = self._total = self._done = self._before = self._new = 0

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
        self._done += 1
        self._before += effort

    def begin(self, step: str, images: int, each: int = 1) -> None:
        """The step before this one is done, and this one is of about so many images.

        Args:
            step: what is done.
            images: about so many.
            each: the effort of one of them.
        """
        if self._step:
            self._done += 1
            self._before += self._planned * self._each
            self._new += self._planned * self._each
        self._step, self._planned, self._sent, self._tally = step, images, 0, None
        self._each = each
        self._report()

    def scored(self, images: int) -> None:
        """Images are about to be sent to a net.

        Raises:
            Interrupted: a stop was asked for.
        """
        if self.should_stop():
            raise Interrupted("stopped")
        self.reached(self._sent + images)

    def reached(self, images: int) -> None:
        """So many images of the present step are done."""
        self._sent = images
        self._report()

    def asked(self, images: int) -> None:
        """So many images more are sent to a net for answers."""
        self._queries += images

    def tell(self, tally: Tally) -> None:
        """What the present step has come to."""
        self._tally = tally
        self._report()

    def trained(self, p: TrainProgress) -> None:
        """A step of a training, whose own time is told: what follows cannot be known yet."""
        if self._progress is not None:
            step = f"training, epoch {p.epoch}/{p.epochs}, loss {p.loss:.3f}"
            share = p.step / p.steps
            self._progress(ExperimentProgress(step, 0, 0, self.seconds, share, p.seconds_left))

    def _report(self) -> None:
        if self._progress is None or not self._step:
            return
        here = min(self._sent, self._planned) * self._each
        share = (self._before + here) / self._total if self._total else 0.0
        left = None
        if new := self._new + here:
            spent = time.perf_counter() - self._worked
            left = spent / new * max(0, self._total - self._before - here)
        self._progress(
            ExperimentProgress(
                self._step,
                self._done,
                self._steps,
                self.seconds,
                min(1.0, share),
                left,
                self._tally,
                self._queries,
            )
        )
