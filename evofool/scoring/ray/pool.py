"""A pool of Ray actors that draw and score micro-batches; whoever dies is replaced."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from evofool.errors import EvofoolError, Interrupted, ScoringError
from evofool.ray_session import ONE_THREAD, told
from evofool.ray_watch import RayWatch
from evofool.scoring.devices import Batch
from evofool.scoring.ranking import Scores
from evofool.scoring.ray.layout import Layout
from evofool.scoring.ray.sending import sent
from evofool.scoring.ray.worker import Report, Setting, Worker, probe_digest, versions
from evofool.scoring.scorer import Scorer
from evofool.scoring.stream import Painter, Parcel

DEPTH = 2
"""Micro-batches in flight for each that an actor computes at once: the next is there when one is
done."""
ATTEMPTS = 5
"""How many actors in turn one micro-batch may be lost with, until it is held to be the cause."""
FAILED_STARTS = 3
"""How many actors in turn may fail to start, until no more are started."""
START_SECONDS = 180.0
"""How long a pool without any actor waits for one: at the start, and when all were lost."""
GATHER_SECONDS = 30.0
"""How long the start waits for further actors once one is ready; later ones join later."""
_LOOK_SECONDS = 1.0
"""How often it is asked whether the cluster is there, while an answer is waited for."""
_END_SECONDS = 5.0
_TICK = 0.2


@dataclass(eq=False)
class _Place:
    """Of an actor that is being started; None until Ray knows of it."""

    actor: Any | None = None


@dataclass(eq=False)
class _Hand:
    """An actor that is ready."""

    actor: Any
    report: Report
    busy: int = 0


class RayPool:
    """Actors that draw and score; see `evofool.scoring.stream.Elsewhere`.

    Args:
        ray: the module, connected.
        scorer: of the campaign; what its engine computes here the actors compute there.
        painter: what draws in them.
        specs: of the victim's nets, as in a config.
        layout: how many actors.
        should_stop: asked while no actor is left.

    Raises:
        UsageError: the victim cannot be sent, there is no room, or the workers are not like this
            process.
        ScoringError: no worker can be started.
        ClusterLostError: the cluster is gone.
        Interrupted: a stop was asked for meanwhile.
    """

    def __init__(
        self,
        ray: Any,
        scorer: Scorer,
        painter: Painter,
        specs: Sequence[Mapping[str, Any]],
        layout: Layout,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ray = ray
        self._layout = layout
        self._should_stop = should_stop
        self._name = scorer.classifier.name
        self.actors = layout.fitting(ray.nodes())
        victim = sent(scorer.classifier, scorer.running, specs, ray.cloudpickle.dumps)
        self._probe = probe_digest(scorer)
        device = "cuda:0" if layout.gpus else scorer.device
        setting = Setting(
            device, scorer.batch, scorer.rows_per_call, scorer.precision, layout.cores
        )
        self._sent: tuple[Any, Any] = ray.put(victim), ray.put((painter, setting))
        # once: each `ray.remote` sends the class anew
        self._worker = ray.remote(Worker).options(
            num_cpus=layout.cores,
            num_gpus=layout.gpus,
            max_concurrency=layout.cores,
            max_restarts=0,  # what was sent to it is booked again when it is sent again
            runtime_env={"env_vars": dict(ONE_THREAD)},
        )
        self._changed = threading.Condition()
        self._ready: list[_Hand] = []
        self._coming: set[_Place] = set()
        self._failed = 0
        self._reason = ""
        self._closed = False
        self._unlike: set[str] = set()
        self._watch = RayWatch(ray)
        slots = DEPTH * layout.cores * self.actors
        self.threads: Executor = ThreadPoolExecutor(slots, "ray")
        self.ahead = slots + self.actors
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def reports(self) -> tuple[Report, ...]:
        """Of the actors that are ready."""
        with self._changed:
            return tuple(hand.report for hand in self._ready)

    def score(
        self,
        parcel: Parcel,
        *,
        batch: int,
        confirming: bool,
        pictures: bool,
        sending: Callable[[bool], None],
    ) -> tuple[Scores, Batch | None]:
        """As `Elsewhere.score`.

        Raises:
            OutOfMemory, ScoringError: as there.
            ClusterLostError: the cluster is gone.
            Interrupted: a stop was asked for while no worker was left.
        """
        errors = self._ray.exceptions
        reason = ""
        for attempt in range(ATTEMPTS):
            hand = self._take()
            try:
                sending(attempt > 0)
                answer = self._answer(
                    hand.actor.score.remote(parcel.content, batch, confirming, pictures)
                )
            except errors.RayTaskError as error:
                raise ScoringError(
                    f"{self._name}: a worker on {hand.report.host} failed ({told(error)})"
                ) from error
            except errors.GetTimeoutError:  # it lives, and hangs
                reason = f"it gave no answer in {self._layout.timeout:g} s"
                self._lost(hand, reason)
                continue
            except errors.RayError as error:  # the actor, its node, or the answer on its way
                reason = told(error)
                self._lost(hand, reason)
                continue
            finally:
                self._give_back(hand)
            if isinstance(answer, EvofoolError):
                raise answer
            scores: tuple[Scores, Batch | None] = answer
            return scores
        raise ScoringError(
            f"{self._name}: {ATTEMPTS} workers in a row were lost over one micro-batch ({reason})"
        )

    def _answer(self, asked: Any) -> Any:
        """What an actor gives; as `ray.get`, but for the cluster that may be lost meanwhile."""
        end = time.monotonic() + self._layout.timeout
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                return self._ray.get(asked, timeout=min(_LOOK_SECONDS, left))
            except self._ray.exceptions.GetTimeoutError:
                self._watch.check()
                if left <= _LOOK_SECONDS:
                    raise

    def close(self) -> None:
        """End the actors; what still waits for them fails."""
        with self._changed:
            self._closed = True
            actors = [hand.actor for hand in self._ready]
            actors += [place.actor for place in self._coming]
            self._ready.clear()
            self._coming.clear()
            self._changed.notify_all()
        for ending in [self._end(actor) for actor in actors]:
            if ending is not None:
                ending.join(_END_SECONDS)
        self.threads.shutdown(wait=True, cancel_futures=True)
        self._watch.close()

    def __enter__(self) -> RayPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        """All actors at once; one must be ready, the others may join later."""
        for _ in range(self.actors):
            self._hire()
        with self._changed:
            self._wait_for_one()
            end = time.monotonic() + GATHER_SECONDS
            while self._coming and not self._failed and time.monotonic() < end:
                if self._should_stop():
                    raise Interrupted("stopped")
                self._changed.wait(_TICK)

    def _hire(self) -> None:
        """Let a thread start an actor and wait for it: the cluster may have no room, or no head."""
        place = _Place()
        with self._changed:
            self._coming.add(place)
        threading.Thread(target=self._welcome, args=(place,), name="ray-start", daemon=True).start()

    def _welcome(self, place: _Place) -> None:
        """In a thread: start an actor, and take it in if it is fit."""
        hand, problem = None, ""
        try:
            place.actor = self._worker.remote(*self._sent)
            hand = _Hand(place.actor, self._ray.get(place.actor.report.remote()))
            problem = self._unfit(hand.report)
        except Exception as error:  # whatever kept it from starting is told, here or later
            problem = _cause(error)
        with self._changed:
            if place not in self._coming:  # closed meanwhile
                self._end(place.actor)
                return
            self._coming.discard(place)
            if hand is not None and not problem:
                self._failed = 0
                self._ready.append(hand)
            else:
                self._failed += 1
                self._reason = problem
                self._end(place.actor)
                # at the start, too, one failure may be the machine's: it is tried once more
                if self._failed < FAILED_STARTS and (self._ready or self._failed == 1):
                    self._hire()
            self._changed.notify_all()

    def _unfit(self, report: Report) -> str:
        """Why a worker must not score for this process, "" if it may."""
        own = versions()
        other = [f"{k} {report.versions.get(k)} instead of {v}" for k, v in own.items()
                 if report.versions.get(k) != v]  # fmt: skip
        if other:
            return f"{report.host} has {', '.join(other)}: install the same on every machine"
        many = [f"{name} {count}" for name, count in report.threads.items() if count != 1]
        if many:
            return (
                f"a worker on {report.host} would compute with several threads ({', '.join(many)})"
                " on cores that belong to others"
            )
        known = report.probe and self._probe
        if known and report.probe != self._probe and report.host not in self._unlike:
            self._unlike.add(report.host)
            logging.getLogger("evofool").warning(
                "%s computes slightly different floats than this machine: which pictures win"
                " may depend on which worker scores them, and the run is not reproducible to"
                " the last bit",
                report.host,
            )
        with self._changed:
            there = Counter(hand.report.node for hand in self._ready)[report.node] + 1
        if there * self._layout.cores > report.usable and report.node not in self._unlike:
            self._unlike.add(report.node)
            logging.getLogger("evofool").warning(
                "%s: %d workers with %d cores each share %d usable cores; start Ray there with"
                " --num-cpus=%d, or set scoring.ray.actors",
                report.host, there, self._layout.cores, report.usable, report.usable,
            )  # fmt: skip
        return ""

    def _take(self) -> _Hand:
        """The actor with the least to do, once one has room."""
        with self._changed:
            while True:
                self._watch.check()
                if not self._ready:
                    self._wait_for_one()
                hand = min(self._ready, key=lambda each: each.busy)
                if hand.busy < DEPTH * self._layout.cores:
                    hand.busy += 1
                    return hand
                self._changed.wait(_LOOK_SECONDS)

    def _give_back(self, hand: _Hand) -> None:
        with self._changed:
            hand.busy -= 1
            self._changed.notify_all()

    def _wait_for_one(self) -> None:
        """Until an actor is ready; called with the lock held."""
        end = time.monotonic() + START_SECONDS
        while not self._ready:
            if self._closed:
                raise ScoringError("the Ray workers have been ended")
            self._watch.check()
            if self._should_stop():
                raise Interrupted("stopped")
            if not self._coming or time.monotonic() > end:
                why = self._reason or (
                    f"the cluster had no room for one within {START_SECONDS:.0f} s"
                )
                raise ScoringError(f"no Ray worker is left, and none can be started: {why}")
            self._changed.wait(_TICK)

    def _lost(self, hand: _Hand, reason: str) -> None:
        """Another actor in place of one that is lost; several threads may notice the same."""
        if self._should_stop():  # the signal may have ended Ray's processes too
            raise Interrupted("stopped")
        self._watch.check(now=True)  # workers end with what runs of Ray on their machine
        with self._changed:
            if self._closed or hand not in self._ready:
                return
            self._ready.remove(hand)
            self._reason = reason
            left = len(self._ready)
            if self._failed < FAILED_STARTS:
                self._hire()
            self._changed.notify_all()
        logging.getLogger("evofool").warning(
            "a Ray worker on %s was lost (%s); %d left, its pictures are sent again",
            hand.report.host, reason, left,
        )  # fmt: skip
        self._end(hand.actor)

    def _end(self, actor: Any | None) -> threading.Thread | None:
        """End an actor, in a thread: while the head is away Ray waits for it to answer."""
        if actor is None or self._watch.is_lost:  # with the cluster all actors end
            return None

        def end() -> None:
            try:
                self._ray.kill(actor, no_restart=True)
            except Exception:  # it, its node or the whole cluster may be gone already
                logging.getLogger("evofool").debug("an actor could not be ended", exc_info=True)

        thread = threading.Thread(target=end, name="ray-end", daemon=True)
        thread.start()
        return thread


def _cause(error: Exception) -> str:
    """What kept an actor from starting, without the traceback of its process."""
    cause = getattr(error, "cause", None)
    return told(cause if isinstance(cause, BaseException) else error)
