"""Functions in tasks of Ray, which yield what they find; knows nothing of experiments."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evofool.errors import ClusterLostError, EvofoolError, UsageError
from evofool.ray_session import ONE_THREAD, load_ray, told
from evofool.ray_watch import RayWatch

_LOOK_SECONDS = 0.5
"""How often it is asked whether to stop, and whether the cluster is there."""
Asked = Callable[[], bool]
"""Whether a stop was asked for."""


class TaskLostError(EvofoolError):
    """The process of a task is gone, its machine, or what it was sending."""


class Tasks:
    """Where functions are run: a cluster of Ray that this process is connected to.

    Args:
        ray: the module, connected.

    Attributes:
        cores: of all machines together.
        most: of the largest machine.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        nodes = [node.get("Resources", {}) for node in ray.nodes() if node.get("Alive")]
        each = [int(resources.get("CPU", 0)) for resources in nodes]
        self.cores, self.most = sum(each), max(each, default=0)
        if self.cores < 1:
            raise UsageError("--ray: no machine of the cluster has a CPU core for a work")
        self._stopping = threading.Event()
        self._watch = RayWatch(ray)
        self._remote = ray.remote(_run)  # once: each sends the function anew, by way of the head
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # beside the driver, so that no other machine's end takes it along; if it is ended all the
        # same, for want of memory as a rule, Ray starts it again and asks again what was asked
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._signal = (
            ray.remote(_signal())
            .options(
                num_cpus=0,
                max_concurrency=10_000,
                scheduling_strategy=here,
                max_restarts=-1,
                max_task_retries=-1,
            )
            .remote()
        )

    def put(self, value: object) -> Any:
        """`value` in the object store; what this gives may be among the `sent` of `stream`.

        Raises:
            ClusterLostError: the cluster is gone.
        """
        self._watch.check(now=True)
        return self._ray.put(value)

    def stream(
        self,
        function: Callable[..., Iterator[Any]],
        *arguments: Any,
        sent: Sequence[Any] = (),
        cores: int = 1,
        gpus: int = 0,
    ) -> Iterator[Any]:
        """What ``function(should_stop, *arguments, values)`` yields in a task, as it comes.

        Args:
            function: that a module of evofool defines.
            arguments: that can be pickled.
            sent: what `put` gave; `values` is the list of what was put.
            cores: that are its own; no more than the largest machine has.
            gpus: likewise.

        Raises:
            TaskLostError: its process is gone. What the function itself raised is raised as Ray
                raises it.
            ClusterLostError: the whole cluster is.
        """
        ray = self._ray
        task = self._remote.options(
            num_cpus=min(cores, self.most),
            num_gpus=gpus,
            num_returns="streaming",
            max_retries=0,  # whoever stores what comes knows from where to go on
            runtime_env={"env_vars": dict(ONE_THREAD)},
        ).remote(self._signal, function, list(sent), arguments)
        begun = ended = False
        try:
            while True:
                if not begun and self._stopping.is_set():
                    raise TaskLostError("stopped before it had started")
                self._watch.check()
                ready, _ = ray.wait([task], timeout=_LOOK_SECONDS)
                if not ready:
                    continue
                begun = True
                try:
                    value = ray.get(next(task))
                except StopIteration:
                    ended = True
                    return
                except ray.exceptions.RayTaskError:
                    ended = True
                    raise
                except ray.exceptions.RayError as error:
                    ended = True
                    self._watch.check(now=True)  # tasks end with Ray's process on their machine
                    raise TaskLostError(told(error)) from error
                yield value
        except ClusterLostError:
            ended = True  # whoever tells a lost cluster to end a task waits for its head
            raise
        finally:
            if not ended:
                with contextlib.suppress(Exception):  # the cluster may be gone, too
                    ray.cancel(task, force=True)

    def stop(self) -> None:
        """Tell all functions that a stop was asked for; again, in case that was lost."""
        self._stopping.set()
        self._signal.stop.remote()

    def close(self) -> None:
        """Send nothing more."""
        self._watch.close()


def _signal() -> type:
    """An actor that tasks ask whether to stop: the answer comes when they are to.

    A class within a function travels as code: its process need not import evofool, and is there
    seconds earlier, with a tenth of the memory.
    """
    import asyncio

    class Signal:
        def __init__(self) -> None:
            self._event = asyncio.Event()

        async def stop(self) -> None:
            self._event.set()

        async def stopped(self) -> None:
            await self._event.wait()

    return Signal


def _run(
    signal: Any,
    function: Callable[..., Iterator[Any]],
    sent: Sequence[Any],
    arguments: Sequence[Any],
) -> Iterator[Any]:
    """In a task."""
    ray = load_ray()
    answers = [signal.stopped.remote()]
    lock = threading.Lock()
    state = {"stop": False, "asked": 0.0}

    def should_stop() -> bool:
        import time

        with lock:
            now = time.monotonic()
            if not state["stop"] and now - state["asked"] > 0.2:
                state["asked"] = now
                state["stop"] = _came(ray, answers)
                if not answers:
                    answers.append(signal.stopped.remote())
            return bool(state["stop"])

    yield from function(should_stop, *arguments, ray.get(list(sent)))


def _came(ray: Any, answers: list[Any]) -> bool:
    """Whether the one answer has come; one that was lost is taken out, and is none."""
    if not ray.wait(answers, timeout=0)[0]:
        return False
    try:
        ray.get(answers[0])
    except ray.exceptions.RayError:
        answers.clear()
        return False
    return True
