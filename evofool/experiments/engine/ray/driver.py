"""The driver's side: works are sent to tasks of Ray, and what they find is stored here."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from evofool.classifiers import Classifier
from evofool.classifiers.sources.live import PREFIX as LIVE
from evofool.errors import EvofoolError, StoreError
from evofool.experiments.engine.context import Context
from evofool.experiments.engine.elsewhere import Begun, Elsewhere, LostError
from evofool.experiments.engine.plan import Planned
from evofool.experiments.engine.ray.crossing import (
    OWN,
    Bundle,
    Changed,
    Ended,
    Found,
    Made,
    Message,
    Progress,
    Request,
    Started,
)
from evofool.experiments.engine.ray.tasks import TaskLostError, Tasks
from evofool.experiments.engine.ray.worker import carry_out
from evofool.experiments.engine.results import everything_below
from evofool.experiments.engine.spending import Spending
from evofool.experiments.engine.study import Study
from evofool.experiments.engine.work import Artifact, Chunk, Work
from evofool.scoring.ledger import Heading
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.works import Cost, StoredRow


def bound_to_the_driver(made: Study[Any]) -> str:
    """Why an experiment's works cannot be sent to other processes, "" if they can."""
    if all(planned.work.stays for planned in made.plan):
        return "nothing in this experiment can be sent to other machines"
    for net in _nets(made):
        if net.metered:
            return (
                f"{net.headline} is a service or a function that may be one, so it is called"
                " only from here"
            )
        if net.name.startswith(LIVE):
            return f"{net.headline} is a Python object of this process"
    return ""


class RayWorks(Elsewhere):
    """Works of one experiment as tasks of Ray.

    Args:
        ray: the module, connected.
        made: the experiment, whose config every machine can load.
        run: its folder, which this process alone writes to.

    Attributes:
        at_once: works that have room at a time.
        workers: host and process of each work that is under way, by address.
    """

    def __init__(self, ray: Any, made: Study[Any], run: ExperimentFolder) -> None:
        self._tasks, self._made, self._run = Tasks(ray), made, run
        self._bundles: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.workers: dict[str, tuple[str, int]] = {}
        self.at_once = self._tasks.cores

    def takes(self, work: Work) -> bool:
        """All but what has to be done in this process."""
        return not work.stays

    def stop(self) -> None:
        """Ask all works to stop and save."""
        self._tasks.stop()

    def __enter__(self) -> RayWorks:
        return self

    def __exit__(self, *_: object) -> None:
        self._tasks.close()

    def run(
        self, planned: Planned, context: Context
    ) -> Iterator[Begun | StoredRow | Artifact | Chunk]:
        """As `Elsewhere.run`."""
        work = planned.work
        sent = [self._bundle(need) for need in everything_below(work)]
        begun = Bundle.of(self._run, work)
        if begun is not None and (begun.rows or begun.files):
            sent.append(self._tasks.put(begun))
        request = self._request(work, context)
        booked = _Booked(self._run, context.spending)
        messages = self._tasks.stream(
            carry_out,
            request.to_json(),
            sent=sent,
            cores=work.threads,
            gpus=int(_on_a_gpu(work)),
        )
        try:
            yield from self._taken(planned, context, messages, booked)
        except TaskLostError as error:
            host, pid = self.workers.get(work.address, ("", 0))
            where = f"process {pid} on {host}: " if host else ""
            raise LostError(f"{where}{error}") from error
        finally:
            self.workers.pop(work.address, None)
            booked.settle()

    def _taken(
        self,
        planned: Planned,
        context: Context,
        messages: Iterator[Message],
        booked: _Booked,
    ) -> Iterator[Begun | StoredRow | Artifact | Chunk]:
        work, step = planned.work, context.step
        error: EvofoolError | None = None
        for message in messages:
            if isinstance(message, Progress | Found | Made | Ended):
                state = message.state
                if not (isinstance(message, Ended) and state.cost == Cost()):
                    context.took(state.cost)
                    booked.reached(state.cost.queries)
                context.notes = list(state.notes) or context.notes
                context.reads |= {(read.source, read.name): read for read in state.reads}
            if isinstance(message, Started):
                context.versions = dict(message.versions)
                self.workers[work.address] = (message.host, message.pid)
                yield Begun()
            elif isinstance(message, Progress):
                step.asked(message.asked)
                if message.training is not None:
                    step.trained(message.training)
                if message.tally is not None:
                    step.tell(message.tally)
                if message.reached is not None:
                    step.reached(message.reached)
            elif isinstance(message, Found) and message.together:
                yield Chunk(message.rows)
                booked.keep()
            elif isinstance(message, Found):
                yield from message.rows
            elif isinstance(message, Changed):
                self._store(message)
            elif isinstance(message, Made):
                place = self._made.plan.place(work, message.name)
                if work.digest_of(message.name, self._run.inside(place)) != message.digest:
                    raise StoreError(f"{self._run.path / place}: did not arrive as it was made")
                yield Artifact(message.name, message.digest)
            elif message.error is None:
                booked.keep()
            else:
                error = _raised(message)
        if error is not None:  # once its task has ended, whose process does other works
            raise error

    def _request(self, work: Work, context: Context) -> Request:
        run = self._run
        return Request(
            address=work.address,
            kind=str(self._made.kind),
            config=run.config_text,
            manifest=json.loads(json.dumps(run.manifest)),
            meta={"roles": run.meta().get("roles", "{}")},
            folder=str(run.path.absolute()),
            command=context.command,
            share=context.share,
            budget=context.budget,
            spent=context.spent,
            versions=dict(context.versions),
        )

    def _bundle(self, work: Work) -> Any:
        """Of a finished work, put into the object store once."""
        with self._lock:
            if work.address not in self._bundles:
                bundle = Bundle.of(self._run, work)
                assert bundle is not None  # needs are finished
                self._bundles[work.address] = self._tasks.put(bundle)
            return self._bundles[work.address]

    def _store(self, changed: Changed) -> None:
        for name, data in changed.files:
            if name.startswith(OWN):
                raise StoreError(
                    f"{self._run.path}: a worker sent {name}, which belongs to no work"
                )
            self._run.write_file(name, data)
        for name in changed.removed:
            self._run.inside(name).unlink(missing_ok=True)


class _Booked:
    """What a work sends to nets, booked as its messages come, where its kind of run books that."""

    def __init__(self, run: ExperimentFolder, spending: Spending | None) -> None:
        self._run = run
        self._books = spending is not None and spending.every_net
        self._booked = self._now = self._kept = 0

    def reached(self, queries: int) -> None:
        """So many so far."""
        self._now = queries
        if self._books and queries > self._booked:
            self._run.bookings.add({Heading.QUERIES: queries - self._booked})
            self._booked = queries

    def keep(self) -> None:
        """All so far was for rows that are stored."""
        self._kept = self._now

    def settle(self) -> None:
        """What was sent since was sent in vain."""
        lost = self._booked - self._kept
        if self._books and lost > 0:
            self._run.bookings.add({Heading.QUERIES: -lost, Heading.RETRIES: lost})
            self._booked = self._kept


def _raised(message: Ended) -> EvofoolError:
    """The error that a work raised, as far as it can be made again of its message."""
    assert message.error is not None
    try:
        error = message.error(message.message)
    except TypeError:
        error = EvofoolError(message.message)
    return error if isinstance(error, EvofoolError) else EvofoolError(message.message)


def _on_a_gpu(work: Work) -> bool:
    """Whether a field of a work says ``device: cuda``."""
    return _says_cuda(json.loads(work.definition))


def _says_cuda(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get("device") == "cuda" or any(map(_says_cuda, value.values()))
    return isinstance(value, list) and any(map(_says_cuda, value))


def _nets(made: Study[Any]) -> Iterator[Classifier]:
    """The nets from outside that an experiment names."""
    if made.victim is not None:
        yield made.victim
    seen: set[int] = set()
    for planned in made.plan:
        yield from _nets_in(planned.work, seen)


def _nets_in(value: Any, seen: set[int]) -> Iterator[Classifier]:
    if isinstance(value, Classifier):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _nets_in(inner, seen)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _nets_in(inner, seen)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type) and id(value) not in seen:
        seen.add(id(value))
        for each in dataclasses.fields(value):
            yield from _nets_in(getattr(value, each.name), seen)
