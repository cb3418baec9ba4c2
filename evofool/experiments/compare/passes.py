"""What a backward pass costs beside a forward pass on this machine; the currency counts two.

A time is a figure of the machine: its name is in the address of the work, so that another machine
never takes it over, and a run that goes on elsewhere keeps what was measured where it was begun.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from evofool.attacks.query.noise import noise_images
from evofool.experiments.bench import processor
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import Net
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import json_object

MOST_IMAGES = 32
"""Of a batch that is timed."""
TIMES = 5
"""That each is timed; the shortest counts, since nothing makes a pass faster than it is."""
COUNTED = 2
"""Forward passes that the currency counts a backward pass as."""


@dataclass(frozen=True)
class PassesRow(Row):
    """Seconds of one batch.

    Attributes:
        forward: of scoring it.
        gradient: of taking its gradients, a forward and a backward pass.
        images: of the batch.
        device: that it ran on.
        processor: by its name.
    """

    type: ClassVar[str] = "passes"

    forward: float
    gradient: float
    images: int
    device: str
    processor: str

    @property
    def ratio(self) -> float:
        """Forward passes that take as long as a backward pass."""
        return (self.gradient - self.forward) / self.forward


@work
class TimedPasses(Work):
    """Forward and backward passes of a net that gives gradients, timed.

    Attributes:
        net: a white box.
        scoring: how images are scored.
        machine: that it is timed on.
    """

    kind: ClassVar[str] = "timed-passes"
    stays: ClassVar[bool] = True  # it times this machine
    rows: ClassVar[tuple[type[Row], ...]] = (PassesRow,)

    net: Net
    scoring: Scoring
    machine: str

    @property
    def images(self) -> int:
        """At most."""
        return 2 * (TIMES + 1) * MOST_IMAGES

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        # gradients are torch's: a forward pass of another engine is no part of theirs
        with context.scorer(net, replace(self.scoring, engine="torch")) as scorer:
            images = noise_images(
                "uniform", net.input_shape, min(MOST_IMAGES, scorer.images_per_batch)
            )
            forward = _shortest(lambda: scorer.score(images))
            gradient = _shortest(lambda: scorer.gradients(images, lambda outputs, _: outputs[:, 0]))
            yield PassesRow(0, forward, gradient, len(images), scorer.device, processor())


def this_machine() -> str:
    """Names the machine without telling its name."""
    told = f"{platform.node()} {platform.machine()} {processor()}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def machine_of(run: ExperimentFolder) -> str | None:
    """The machine that a run was timed on; None where it was not."""
    for stored in run.works().values():
        if stored.kind == TimedPasses.kind and stored.finished:
            fields = json_object(stored.definition, run.path).get("fields")
            if isinstance(fields, dict) and isinstance(fields.get("machine"), str):
                return str(fields["machine"])
    return None


def _shortest(call: Callable[[], object]) -> float:
    call()  # which may compile or allocate
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
