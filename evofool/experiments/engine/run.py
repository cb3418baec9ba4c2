"""Running a plan: every work that has no finished rows at its address, in dependency order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace
from types import MappingProxyType

from evofool.errors import (
    BudgetError,
    ClusterLostError,
    EvofoolError,
    Interrupted,
    RunBusyError,
    ScoringError,
    StoreError,
)
from evofool.experiments.engine.context import Context, Engines
from evofool.experiments.engine.effort import Efforts
from evofool.experiments.engine.elsewhere import Begun, Elsewhere, LostError
from evofool.experiments.engine.plan import Plan, Planned
from evofool.experiments.engine.progress import Meter
from evofool.experiments.engine.results import Results
from evofool.experiments.engine.spending import Spending
from evofool.experiments.engine.work import Artifact, Chunk, Row, Work
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.works import ArtifactRow, Cost, StoredRow, WorkRow

COMMIT_SECONDS = 3.0
"""Rows wait no longer than this before they are stored."""
ATTEMPTS = 3
"""How many processes in turn a work may be lost with, until it is held to be the cause."""
ASK_SECONDS = 0.2
"""How often it is asked whether to stop, while all works are elsewhere."""


class WorksFailedError(EvofoolError):
    """Some works failed, and what depends on them was not begun; all others are done."""


class Serial(Executor):
    """Does what is submitted at once, in this thread."""

    def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> Future:  # type: ignore[type-arg]
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def run_plan(
    plan: Plan,
    folder: ExperimentFolder,
    meter: Meter,
    *,
    command: str | None = None,
    executor: Executor | None = None,
    at_once: int = 1,
    spending: Spending | None = None,
    engines: Engines = MappingProxyType({}),
    elsewhere: Elsewhere | None = None,
) -> Results:
    """Do every work of `plan` that is not finished in `folder`, and return the results of all.

    Args:
        plan: the works that are to be run.
        folder: open for writing.
        meter: told of progress, and asked whether to stop.
        command: the command line, for the manifests of campaigns.
        executor: what works are given to; by default they are done one after the other, here.
        at_once: works that the executor is given at a time.
        spending: what works may send, and where it is booked.
        engines: of nets that are loaded already.
        elsewhere: other processes that works are sent to; the threads of `executor` then wait for
            them, store what comes, and do one after the other what cannot be sent.

    Raises:
        Interrupted: a stop was asked for; all that is done is stored.
        WorksFailedError: works failed; all that does not depend on them is done. A work alone
            raises its own error.
        BudgetError: none failed, but some have spent their share before they were through.
        ClusterLostError: no other work can be sent elsewhere; all that is done is stored.
        StoreError: the folder is damaged or cannot be written.
    """
    executor = executor or Serial()
    runner = _Runner(
        plan, folder, meter, command, executor, at_once, spending, engines, elsewhere
    )  # fmt: skip
    return runner.run()


class _Runner:
    def __init__(
        self,
        plan: Plan,
        folder: ExperimentFolder,
        meter: Meter,
        command: str | None,
        executor: Executor,
        at_once: int,
        spending: Spending | None,
        engines: Engines,
        elsewhere: Elsewhere | None,
    ) -> None:
        self._plan, self._folder, self._meter, self._command = plan, folder, meter, command
        self._spending, self._engines = spending, engines
        self._executor, self._at_once = executor, at_once
        self._elsewhere, self._here = elsewhere, threading.Lock()
        self._results = Results(folder, plan)
        self._efforts = Efforts(planned.work for planned in plan)
        self._failed: dict[str, EvofoolError] = {}
        self._skipped: set[str] = set()

    def run(self) -> Results:
        """All that is not finished."""
        self._meter.plan(len(self._plan), sum(self._efforts.of(p.work) for p in self._plan))
        # an edit of the config that was undone: whoever names an artifact by its place finds it
        self._folder.put_back(place for p in self._plan for place in self._places(p.work))
        waiting = list(self._plan)
        running: dict[Future[object], Planned] = {}
        finished: set[str] = set()
        try:
            while waiting or running:
                for planned in self._ready(waiting, finished):
                    if len(running) >= self._at_once:
                        break
                    waiting.remove(planned)
                    if self._results.is_finished(planned.work):
                        self._meter.skip(self._efforts.of(planned.work))
                        finished.add(planned.work.address)
                        continue
                    if self._elsewhere is not None and self._meter.should_stop():
                        raise Interrupted("stopped")
                    running[self._executor.submit(self._carry_out, planned)] = planned
                self._collect(running, finished)
        finally:
            wait(running)
        self._tell_failures()
        return self._results

    def _places(self, work: Work) -> list[ArtifactRow]:
        """Where what a work makes is to lie."""
        return [
            ArtifactRow(work.address, name, self._plan.place(work, name), "") for name in work.makes
        ]

    def _ready(self, waiting: Iterable[Planned], finished: set[str]) -> list[Planned]:
        """Works whose needs are met, in the order of the plan; those that can never be, go."""
        ready = []
        for planned in list(waiting):
            needs = {need.address for need in planned.work.needs}
            if needs & (self._failed.keys() | self._skipped):
                self._skipped.add(planned.work.address)
                waiting.remove(planned)  # type: ignore[attr-defined]
            elif needs <= finished:
                ready.append(planned)
        return ready

    def _collect(self, running: dict[Future[object], Planned], finished: set[str]) -> None:
        done: Iterable[Future[object]] = ()
        while running and not done:
            # of what is sent elsewhere nobody asks whether to stop, while it is waited for
            patience = None if self._elsewhere is None else ASK_SECONDS
            done, _ = wait(running, patience, return_when=FIRST_COMPLETED)
            if self._elsewhere is not None and self._meter.should_stop():
                self._elsewhere.stop()
        for future in done:
            planned = running.pop(future)
            error = future.exception()
            if error is None:
                finished.add(planned.work.address)
            elif isinstance(error, EvofoolError) and not isinstance(
                error, Interrupted | RunBusyError | StoreError | ClusterLostError
            ):
                self._failed[planned.work.address] = error
            else:
                raise error

    def _tell_failures(self) -> None:
        failed = {a: e for a, e in self._failed.items() if not isinstance(e, BudgetError)}
        if not failed and self._failed:
            raise next(iter(self._failed.values()))
        if not failed:
            return
        (address, first), *others = failed.items()
        if not others and not self._skipped:
            raise first
        more = f" (and {len(others)} more)" if others else ""
        left = (
            f"; {len(self._skipped)} that depend on them were not started" if self._skipped else ""
        )
        raise WorksFailedError(
            f"{self._plan[address].title} failed{more}{left}: {first}"
        ) from first

    def _carry_out(self, planned: Planned) -> None:
        """One work, here or elsewhere; what is lost elsewhere is done again."""
        elsewhere = self._elsewhere
        if elsewhere is None:
            self._do(planned, None)
            return
        if not elsewhere.takes(planned.work):
            with self._here:
                self._do(planned, None)
            return
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._do(planned, elsewhere)
                return
            except LostError as error:
                if self._meter.should_stop():
                    raise Interrupted("stopped") from error
                if attempt == ATTEMPTS:
                    raise ScoringError(
                        f"{planned.title}: {ATTEMPTS} workers in a row were lost while doing it"
                        f" ({error})"
                    ) from error
                logging.getLogger("evofool").warning(
                    "%s: its worker was lost (%s); it is done again", planned.title, error
                )

    def _do(self, planned: Planned, elsewhere: Elsewhere | None) -> None:
        """One work, from where it was broken off if it goes on from there, else anew."""
        work, folder = planned.work, self._folder
        self._check_artifacts(planned)  # before anything of it is forgotten
        before = folder.work(work.address)
        if before is not None and not (work.continues and not before.finished):
            folder.forget(work.address)
            before = None
        row = before or WorkRow(work.address, work.kind, work.version, work.definition)
        folder.begin(row, self._places(work))
        step = self._meter.begin(planned.title, work.images, self._efforts.an_image(work))
        spent = row.cost
        context = Context(
            self._results, planned, step, self._command, self._spending, spent.queries,
            self._engines,
        )  # fmt: skip
        kept = Cost()
        began = stored_at = time.perf_counter()
        rows: list[StoredRow] = []
        artifacts: list[ArtifactRow] = []

        def store(finished: bool = False, *, sent: Cost | None = None) -> None:
            cost = spent + (sent or context.cost) + Cost(seconds=time.perf_counter() - began)
            notes = tuple(dict.fromkeys((*row.notes, *context.notes)))
            now = replace(row, finished=finished, cost=cost, notes=notes, versions=context.versions)
            reads = context.reads.values()
            folder.commit(now, rows, artifacts, reads, self._meter.seconds)
            rows.clear()
            artifacts.clear()

        try:
            running = work.run(context) if elsewhere is None else elsewhere.run(planned, context)
            for result in running:
                if isinstance(result, Begun):
                    began = time.perf_counter()
                elif isinstance(result, Artifact):
                    place = self._plan.place(work, result.name)
                    artifacts.append(ArtifactRow(work.address, result.name, place, result.digest))
                    store()  # whoever reads it may do so from now on
                elif isinstance(result, Chunk):
                    rows += [_stored(row) for row in result.rows]
                    store()
                    context.keep()
                    kept = context.cost
                else:
                    rows.append(_stored(result))
                if time.perf_counter() - stored_at > COMMIT_SECONDS:
                    store()
                    stored_at = time.perf_counter()
        except BaseException:
            # what was sent to nets is counted, whatever became of it, unless it is sent again
            store(sent=kept if work.continues else None)
            raise
        finally:
            step.end()
        store(finished=True)

    def _check_artifacts(self, planned: Planned) -> None:
        """Refuse to take for a work's own what was put in the place of its artifacts."""
        for artifact in self._folder.artifacts(planned.work.address):
            path = self._folder.path / artifact.path
            if not artifact.digest or not path.exists():
                continue
            try:
                digest = planned.work.digest_of(artifact.name, path)
            except StoreError:
                digest = ""
            if digest != artifact.digest:
                raise StoreError(
                    f"{self._folder.path}: {planned.title}: {artifact.path} is not what was"
                    " made; restore the original, or remove it, and evofool resume makes it"
                    " again"
                )


def _stored(row: Row | StoredRow) -> StoredRow:
    if isinstance(row, StoredRow):
        return row
    return StoredRow(row.type, row.item, row.content(), row.png)
