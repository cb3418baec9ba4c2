"""In a task of Ray: an experiment is made again, one of its works is run, and told as it goes."""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evofool import kinds
from evofool.errors import EvofoolError, UsageError
from evofool.experiments.engine.context import Context
from evofool.experiments.engine.plan import Planned
from evofool.experiments.engine.progress import Tally
from evofool.experiments.engine.ray.crossing import (
    OWN,
    Bundle,
    Changed,
    Ended,
    Files,
    Found,
    Made,
    Message,
    Progress,
    Request,
    Started,
    State,
    is_plain,
)
from evofool.experiments.engine.ray.places import Homeward
from evofool.experiments.engine.results import Results
from evofool.experiments.engine.spending import Spending
from evofool.experiments.engine.study import Study
from evofool.experiments.engine.work import Artifact, Chunk, Row
from evofool.store.experiment import ExperimentFolder
from evofool.store.folder import CONFIG
from evofool.store.manifest import versions
from evofool.store.records.works import ArtifactRow, Cost, StoredRow, WorkRow
from evofool.training import TrainProgress

TELL_SECONDS = 0.5
"""How often it is told how far a work is."""
ROWS_SECONDS = 1.0
"""Rows are sent together, and wait no longer than this."""
PART_BYTES = 32 << 20
"""Files are sent in parts of about so many bytes."""
AHEAD = 64
"""Messages that wait for the driver, at most."""
_MADE: dict[tuple[str, str], Study[Any]] = {}
"""The study that this process has made last, with its nets and data, by run and config."""


class AbandonedError(EvofoolError):
    """Nobody waits for the messages of a work any more."""


def carry_out(
    should_stop: Callable[[], bool], request: str, bundles: Sequence[Bundle]
) -> Iterator[Message]:
    """Do a work in a run folder of its own, which is gone with it.

    Args:
        should_stop: whether a stop was asked for.
        request: a `Request` as JSON.
        bundles: of all works that it stands on, and of itself if it was begun before.
    """
    messages: queue.Queue[Message] = queue.Queue(AHEAD)
    abandoned = threading.Event()
    failures: list[BaseException] = []

    def put(message: Message) -> None:
        while not abandoned.is_set():
            with contextlib.suppress(queue.Full):
                messages.put(message, timeout=1.0)
                return
        raise AbandonedError("abandoned")

    def work() -> None:
        try:
            _work(Request.from_json(request), bundles, should_stop, put)
        except AbandonedError:
            pass
        except BaseException as error:  # a defect: the driver is to see it as it is
            failures.append(error)
            with contextlib.suppress(AbandonedError):
                put(Ended(State(Cost(), (), ())))

    thread = threading.Thread(target=work, name="work", daemon=True)
    thread.start()
    try:
        while True:
            message = messages.get()
            if failures:
                raise failures[0]
            yield message
            if isinstance(message, Ended):
                return
    finally:
        abandoned.set()
        thread.join()


class _Step:
    """Tells the driver how far a work is, now and then; see `evofool.experiments.engine.Told`."""

    def __init__(self, asked: Callable[[], bool], put: Callable[[Message], None]) -> None:
        self._asked_stop, self._put = asked, put
        self._lock = threading.Lock()
        self._told_at = 0.0
        self._reached: int | None = None
        self._asked = 0
        self._tally: Tally | None = None
        self._training: TrainProgress | None = None
        self.state: Callable[[], State] = lambda: State(Cost(), (), ())

    def should_stop(self) -> bool:
        return self._asked_stop()

    def reached(self, images: int) -> None:
        self._reached = images
        self._tell()

    def asked(self, images: int) -> None:
        with self._lock:
            self._asked += images

    def tell(self, tally: Tally) -> None:
        self._tally = tally
        self._tell(now=True)

    def trained(self, p: TrainProgress) -> None:
        self._training = p
        self._tell()

    def _tell(self, *, now: bool = False) -> None:
        with self._lock:
            moment = time.monotonic()
            if not now and moment - self._told_at < TELL_SECONDS:
                return
            self._told_at = moment
            asked, self._asked = self._asked, 0
            training, self._training = self._training, None
        self._put(Progress(self.state(), self._reached, asked, self._tally, training))


def _work(
    request: Request,
    bundles: Sequence[Bundle],
    should_stop: Callable[[], bool],
    put: Callable[[Message], None],
) -> None:
    with tempfile.TemporaryDirectory(prefix="evofool-") as folder:
        root = Path(folder) / "run"
        state = State(Cost(), (), ())
        try:
            own = versions()
            if own != request.versions:
                named = [f"{k} {own.get(k)} instead of {v}" for k, v in request.versions.items()
                         if own.get(k) != v]  # fmt: skip
                raise UsageError(
                    f"a Ray worker has {', '.join(named)}: install the same versions on every"
                    " machine"
                )
            with ExperimentFolder.create(root, request.manifest, request.config) as run:
                run.set_meta(request.meta)
                for bundle in bundles:
                    bundle.unpack(run)
                put(Started(own, platform.node(), os.getpid()))
                _run(request, run, should_stop, put)
        except AbandonedError:
            raise
        except EvofoolError as error:
            message = str(error).replace(str(root), request.folder)
            put(Ended(state, type(error), message))


def _run(
    request: Request,
    run: ExperimentFolder,
    should_stop: Callable[[], bool],
    put: Callable[[Message], None],
) -> None:
    made = _study(request, run)
    if request.address not in made.plan:
        raise UsageError(
            "something that this experiment's config names is different on a machine of the"
            " cluster: the same files must lie at the same paths on every machine"
        )
    planned = made.plan[request.address]
    step = _Step(should_stop, put)
    spending = Spending(
        run.bookings,
        request.budget,
        {} if request.share is None else {request.address: request.share},
    )
    context = Context(
        Results(run, made.plan), planned, step, request.command, spending, request.spent,
        made.engines,
    )  # fmt: skip

    def state() -> State:
        return State(context.cost, tuple(context.notes), tuple(context.reads.values()))

    step.state = state
    whole, homeward = _Whole(run, planned), Homeward(run.path, request.folder)

    before = _listed(run.path)
    rows: list[StoredRow] = []
    sent_at = time.monotonic()

    def send_rows() -> None:
        nonlocal sent_at
        if rows:
            put(Found(state(), tuple(rows), False))
        rows.clear()
        sent_at = time.monotonic()

    def send_files() -> None:
        nonlocal before
        after = _listed(run.path)
        changed = [name for name, stamp in after.items() if before.get(name) != stamp]
        gone = tuple(name for name in before if name not in after)
        for part in _parts(homeward.files(changed)):
            put(Changed(part))
        if gone:
            put(Changed((), gone))
        before = after

    try:
        for result in planned.work.run(context):
            if isinstance(result, Artifact):
                send_rows()
                send_files()
                whole.add(result)
                put(Made(state(), result.name, result.digest))
            elif isinstance(result, Chunk):
                send_rows()
                put(Found(state(), tuple(homeward.row(_stored(row)) for row in result.rows), True))
                context.keep()
            else:
                rows.append(homeward.row(_stored(result)))
                if time.monotonic() - sent_at > ROWS_SECONDS:
                    send_rows()
    except AbandonedError:
        raise
    except EvofoolError as error:
        send_rows()
        send_files()  # from which a work that continues goes on
        put(Ended(state(), type(error), str(error).replace(str(run.path), request.folder)))
        return
    send_rows()
    send_files()
    put(Ended(state()))


class _Whole:
    """Books a work's own artifacts in the folder it is done in: it may read what it has made."""

    def __init__(self, run: ExperimentFolder, planned: Planned) -> None:
        work = planned.work
        self._run = run
        self._row = run.work(work.address) or WorkRow(
            work.address, work.kind, work.version, work.definition
        )
        self._places = {name: work.place(name, planned.called) for name in work.makes}
        run.begin(self._row, [self._of(name, "") for name in work.makes])

    def _of(self, name: str, digest: str) -> ArtifactRow:
        return ArtifactRow(self._row.address, name, self._places[name], digest)

    def add(self, artifact: Artifact) -> None:
        """It lies there from now on."""
        self._run.commit(self._row, (), [self._of(artifact.name, artifact.digest)])


def _study(request: Request, run: ExperimentFolder) -> Study[Any]:
    """The experiment, made as `evofool resume` makes it; kept for the next work of it."""
    key = (str(request.manifest.get("run_id")), request.config)
    if key not in _MADE:
        study: type[Study[Any]] = kinds.find(request.kind).part("study")
        loaded = study.load(run.path / CONFIG, check_files=False)
        made = study.restored(loaded, run, ())
        _MADE.clear()
        _MADE[key] = made
    return _MADE[key]


def _stored(row: Row | StoredRow) -> StoredRow:
    if isinstance(row, StoredRow):
        return row
    return StoredRow(row.type, row.item, row.content(), row.png)


def _listed(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all files of works below a run folder."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if is_plain(path) and not name.startswith(OWN):
            stat = path.stat()
            found[name] = (stat.st_size, stat.st_mtime_ns)
    return found


def _parts(files: Iterable[tuple[str, bytes]]) -> Iterator[Files]:
    """Some files at a time."""
    part: list[tuple[str, bytes]] = []
    size = 0
    for name, data in files:
        part.append((name, data))
        size += len(data)
        if size >= PART_BYTES:
            yield tuple(part)
            part, size = [], 0
    if part:
        yield tuple(part)
