"""Pictures of requests that come at the same time go through the net together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.images import UInt8Images
from evofool.scoring.ranking import Scores
from evofool.scoring.scorer import Scorer


@dataclass
class _Waiting:
    images: UInt8Images
    answer: asyncio.Future[Any]


class Batcher:
    """Gathers pictures for up to `patience` seconds, or until they fill a batch of the net.

    Args:
        scorer: of the net.
        patience: longest wait for more pictures, in seconds.
        at_once: batches that go through the net at the same time.
    """

    def __init__(self, scorer: Scorer, patience: float = 0.004, at_once: int = 1) -> None:
        self._scorer, self._patience, self._at_once = scorer, patience, at_once
        self._waiting: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.batches = 0

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._at_once)]

    async def stop(self) -> None:
        """End; what is still waiting is not answered."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        while self._waiting:
            self._waiting.popleft().answer.cancel()

    async def ask(self, images: UInt8Images) -> Scores | NDArray[np.int64]:
        """The scores of `images`, uint8 N x C x H x W; int64 (N,) of a net that gives labels only.

        Raises:
            EvofoolError: the net failed.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(images, answer))
        self._more.set()
        result: Scores | NDArray[np.int64] = await answer
        return result

    async def _work(self) -> None:
        while True:
            batch = await self._gathered()
            if not batch:
                continue
            images = np.concatenate([each.images for each in batch])
            try:
                scored = await asyncio.to_thread(self._call(), images)
            except asyncio.CancelledError:
                for each in batch:
                    each.answer.cancel()
                raise
            except Exception as error:  # whatever the net raised: whoever asked is told
                for each in batch:
                    if not each.answer.done():
                        each.answer.set_exception(error)
                continue
            self.batches += 1
            start = 0
            for each in batch:
                part = slice(start, start + len(each.images))
                start = part.stop
                if not each.answer.done():  # who asked may have gone
                    each.answer.set_result(_rows(scored, part))

    async def _gathered(self) -> list[_Waiting]:
        while not self._waiting:
            self._more.clear()
            await self._more.wait()
        full, count = self._scorer.images_per_batch, sum(len(w.images) for w in self._waiting)
        if count < full and self._patience > 0:
            await asyncio.sleep(self._patience)
        batch: list[_Waiting] = []
        count = 0
        while self._waiting and (not batch or count + len(self._waiting[0].images) <= full):
            count += len(self._waiting[0].images)
            batch.append(self._waiting.popleft())
        return batch

    def _call(self) -> Callable[[UInt8Images], Scores | NDArray[np.int64]]:
        if self._scorer.classifier.output == "label":
            return self._scorer.labels
        return self._scorer.score


def _rows(scored: Scores | NDArray[np.int64], part: slice) -> Scores | NDArray[np.int64]:
    if not isinstance(scored, Scores):
        return scored[part]
    return Scores(
        scored.log_odds[part],
        None if scored.outputs is None else scored.outputs[part],
        None if scored.top is None else scored.top[part],
    )
