"""What runs in a worker of Ray: the scorer of this process, over the pictures drawn here."""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from evofool import __version__
from evofool.classifiers.checks.probe_pictures import probe_pictures
from evofool.errors import EvofoolError, ScoringError
from evofool.scoring.batches import cropped, filled
from evofool.scoring.cuda import Precision
from evofool.scoring.devices import Batch, OutOfMemory
from evofool.scoring.ranking import Scores
from evofool.scoring.ray.sending import SentVictim
from evofool.scoring.scorer import Scorer, usable_cores
from evofool.scoring.stream import Painter

LIBRARIES = ("numpy", "numba", "torch", "onnxruntime")
"""Whose versions can change a score or a picture."""


@dataclass(frozen=True)
class Setting:
    """How a worker scores: as the scorer of the campaign would.

    Attributes:
        device: ``cpu`` or ``cuda:0``, of those that the worker sees.
        batch: as of `Scorer`.
        rows: of each call of the net, crops counted.
        precision: as of `Scorer`.
        cores: micro-batches at once, each in a thread of its own.
    """

    device: str
    batch: int
    rows: int
    precision: Precision
    cores: int


@dataclass(frozen=True)
class Report:
    """What a worker is, found out in its own process.

    Attributes:
        node: of Ray, in hex.
        host: its machine.
        pid: its process.
        versions: of Python and `LIBRARIES`.
        threads: that a computing thread of it takes, by library; more than one would take the
            cores of the other workers.
        usable: CPU cores that the process may run on.
        probe: digest of the victim's outputs for `probe_pictures`: whether this machine computes
            what the other does, to the last bit; "" where the victim gave nothing for them.
    """

    node: str
    host: str
    pid: int
    versions: dict[str, str]
    threads: dict[str, int]
    usable: int
    probe: str


class _Painted:
    """A producer of pictures from what has been sent.

    Attributes:
        images: that were made.
    """

    def __init__(self, paint: Callable[[Any], Batch], content: object) -> None:
        self._paint = paint
        self._content = content
        self.images: Batch | None = None

    def __call__(self) -> Batch:
        self.images = self._paint(self._content)
        return self.images


class Worker:
    """One actor.

    Args:
        victim: what scores.
        drawing: what draws, and how it is scored.

    Raises:
        EvofoolError: the victim or the encoding cannot be had on this machine.
    """

    def __init__(self, victim: SentVictim, drawing: tuple[Painter, Setting]) -> None:
        painter, setting = drawing
        import cv2
        import torch  # before any thread: each then takes its own number of threads from Scorer

        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        engine = victim.engine(setting.device, setting.rows, setting.precision, pickle.loads)
        self._scorer = Scorer(
            victim.classifier,
            engine=engine,
            device=setting.device,
            batch=setting.batch,
            workers=setting.cores,
            pad=True,
            precision=setting.precision,
        )
        self._paint = painter()

    def report(self) -> Report:
        """What this worker is. It computes once, so that the first micro-batch finds it warm."""
        return Report(
            _node(),
            platform.node(),
            os.getpid(),
            versions(),
            self._scorer.in_worker(threads),
            usable_cores(),
            probe_digest(self._scorer),
        )

    def score(
        self, content: object, batch: int, confirming: bool, pictures: bool
    ) -> tuple[Scores, Batch | None] | EvofoolError:
        """As `Elsewhere.score`, of the content of a parcel, but errors are returned.

        An error that is raised would come with a traceback of another process, and types with
        arguments of their own would not come at all.
        """
        self._scorer.batch = batch
        producer = _Painted(self._paint, content)
        submit = self._scorer.confirm if confirming else self._scorer.map
        try:
            scores = next(submit([producer]))
        except OutOfMemory as error:
            return OutOfMemory(str(error))
        except EvofoolError as error:
            return ScoringError(str(error))
        images = producer.images if pictures else None
        if images is not None and not isinstance(images, np.ndarray):
            images = images.cpu().numpy()
        # what is not needed does not travel: raw outputs weigh half as much again
        return Scores(scores.log_odds, top=scores.labels), images


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def versions() -> dict[str, str]:
    """Of evofool, Python and the libraries that draw and score."""
    own = {"evofool": __version__, "python": platform.python_version()}
    return own | {name: metadata.version(name) for name in LIBRARIES}


def threads() -> dict[str, int]:
    """How many threads a call of each library that is loaded takes, asked in the calling thread."""
    found = {}
    if (torch := sys.modules.get("torch")) is not None:
        found["torch"] = int(torch.get_num_threads())
    if (numba := sys.modules.get("numba")) is not None:
        found["numba"] = int(numba.config.NUMBA_NUM_THREADS)
    if (cv2 := sys.modules.get("cv2")) is not None:
        found["opencv"] = int(cv2.getNumThreads())
    found["OpenMP"] = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    return found


def probe_digest(scorer: Scorer) -> str:
    """Hex sha256 of what a scorer's engine gives for one certain micro-batch, "" if nothing."""
    c = scorer.classifier
    images: Batch = probe_pictures(c.input_shape)
    images = filled(images[: scorer.images_per_batch], scorer.images_per_batch)
    if c.crops > 1:
        assert c.crop_size is not None
        images = cropped(images, c.crop_size)
    assert isinstance(images, np.ndarray)
    try:
        outputs = scorer.in_worker(lambda: scorer.running.forward(images))
    except ScoringError:  # no room for so many, as a rule: the campaign will find out and halve
        return ""
    return hashlib.sha256(np.ascontiguousarray(outputs).tobytes()).hexdigest()
