"""What a work may use while it runs: nets, results of its dependencies, counters, stop requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from evofool.classifiers import Classifier
from evofool.errors import ClassifierError, FolderError, Interrupted
from evofool.experiments.engine.plan import Planned
from evofool.experiments.engine.progress import Tally, Told
from evofool.experiments.engine.results import Results, everything_below
from evofool.experiments.engine.spending import Spending
from evofool.experiments.engine.work import Row, Work, outside
from evofool.images import UInt8Images
from evofool.scoring import Scorer
from evofool.scoring.services import ServiceEngine
from evofool.store.answers import Answers
from evofool.store.manifest import versions
from evofool.store.records.works import Cost, Read

if TYPE_CHECKING:
    from evofool.training import TrainProgress

R = TypeVar("R", bound=Row)
Engines = Mapping[tuple[int, str, str], Scorer]
"""Scorers whose engines are used again, by ``id`` of the net, engine and device as asked for."""


@dataclass(frozen=True)
class Scoring:
    """How images are scored, as far as it shows in results.

    Attributes:
        batch: images a forward pass; float sums depend on it.
        device: ``cpu`` or ``cuda``.
        engine: that scores them.
        on: the device by its whole name, which a result does not depend on.
        workers: threads, likewise.
    """

    batch: int
    device: str
    engine: str = "torch"
    on: str = outside(default="auto")
    workers: int = outside(default=1)


class Context:
    """What one running work may use.

    Attributes:
        results: of the works that it stands on.
        planned: the work.
        step: is told how far it is.
        versions: of the libraries that it is done with.
        notes: for people, stored with the work; it may add to them.
        reads: artifacts of other works that it has used so far.
        spending: what works of the run may send, and where it is booked.
        share: most queries that it may send over all processes, or None.
        budget: most pictures of the whole run, or None.
    """

    def __init__(
        self,
        results: Results,
        planned: Planned,
        step: Told,
        command: str | None,
        spending: Spending | None = None,
        spent: int = 0,
        engines: Engines = MappingProxyType({}),
    ) -> None:
        self.results, self.planned = results, planned
        self.command = command
        self.spending, self._spent = spending, spent
        self._engines = engines
        self.share = None if spending is None else spending.share(planned.work.address)
        self.budget = None if spending is None else spending.budget
        self.versions = versions()
        self.notes: list[str] = []
        self.reads: dict[tuple[str, str], Read] = {}
        self.step = step
        self._scorers: list[Scorer] = []
        self._sent = 0
        self._closed = Cost()
        self._kept: dict[int, int] = {}

    @property
    def should_stop(self) -> bool:
        """Whether a stop was asked for."""
        return self.step.should_stop()

    def check_stop(self) -> None:
        """Raises `Interrupted` if a stop was asked for."""
        if self.should_stop:
            raise Interrupted("stopped")

    @contextmanager
    def scorer(
        self, net: Classifier, scoring: Scoring, *, counted: bool = True
    ) -> Iterator[Scorer]:
        """A scorer whose images count as this work's, and show in the progress.

        It may send what the work's share still has, and for a service books what it sends.

        Args:
            net: that is asked.
            scoring: how.
            counted: False of a net that is an attacker's own: its passes are no queries.
        """
        left = None if self.share is None else max(0, self.share - self._spent - self.cost.queries)
        if not counted:
            left = None
        with Scorer(
            net,
            engine=scoring.engine,
            device=scoring.on,
            batch=scoring.batch,
            workers=scoring.workers,
            budget=left,
            before=self._before,
            like=self._engines.get((id(net), scoring.engine, scoring.on)),
        ) as scorer:
            if not counted:
                yield scorer
                return
            books = self.spending is not None and self.spending.books(net)
            if self.spending is not None and books:
                self.spending.attach(scorer)
            self._scorers.append(scorer)
            useful = None
            try:
                yield scorer
            except BaseException:
                useful = self._kept.get(id(scorer), 0)
                raise
            finally:
                if self.spending is not None and books and not self.spending.verifies:
                    scorer.ledger.settle(scorer.queries if useful is None else useful)
                self._scorers.remove(scorer)
                self._closed += _cost(scorer)
                if scorer.batch < scoring.batch:
                    self.notes.append(f"out of memory: {scorer.batch} images per forward pass")

    def take_answers(self, net: Classifier, folder: Path, images: UInt8Images) -> None:
        """Keep what a service has answered about `images` in another run's folder here as well, so
        that no work sends them again. Where the service has a cache of its own they are shared.

        Args:
            net: that was asked.
            folder: of the other run.
            images: N x C x H x W.

        Raises:
            StoreError: answers cannot be read or kept.
        """
        if not net.is_service or self.spending is None:
            return
        with Scorer(net) as scorer:
            engine = scorer.running
            assert isinstance(engine, ServiceEngine)
            if engine.cache is not None:
                return
            addresses = [engine.address(image) for image in images]
        with closing(Answers(folder)) as there:
            self.spending.bookings.answers().keep(there.find(addresses))

    def keep(self) -> None:
        """What has been sent so far was for rows that are stored now."""
        self._kept = {id(scorer): scorer.queries for scorer in self._scorers}

    @property
    def cost(self) -> Cost:
        """Images of all scorers so far; seconds are for whoever runs the work."""
        return sum((_cost(scorer) for scorer in self._scorers), self._closed)

    @property
    def spent(self) -> int:
        """Queries that it has sent in earlier processes."""
        return self._spent

    def book(self, cost: Cost) -> None:
        """Count images that were sent by other means than `scorer`."""
        self._closed += cost

    def took(self, cost: Cost) -> None:
        """All that it has sent so far, as the process says in which it runs."""
        self._closed = cost

    def rows(self, work: Work, type: type[R]) -> list[R]:
        """The rows of a work that this one stands on."""
        self._check_need(work)
        return self.results.rows(work, type)

    def with_pictures(self, work: Work, type: type[R]) -> list[R]:
        """The same with their pictures."""
        self._check_need(work)
        return self.results.with_pictures(work, type)

    def artifact(self, work: Work, name: str) -> Path:
        """Where an artifact of a work lies that this one stands on; its digest is noted."""
        artifact = self.results.artifact(work, name)
        if work.address != self.planned.work.address:
            self._check_need(work)
            self.reads[work.address, name] = Read(work.address, name, artifact.digest)
        return (self.results.folder.path / artifact.path).absolute()

    def net(self, work: Work, artifact: str, load: Callable[[Path], Classifier]) -> Classifier:
        """The net that a work has made, loaded once for all works that need it.

        Raises:
            FolderError: it cannot be loaded, or is not what was made.
        """
        path = self.artifact(work, artifact)
        digest = self.results.artifact(work, artifact).digest
        try:
            return self.results.remembered((path, digest), lambda: load(path))
        except ClassifierError as error:
            raise FolderError(f"{self.results.folder.path}: damaged: {error}") from error

    def place(self, artifact: str) -> Path:
        """Where an artifact of this work is to lie."""
        path = self.results.folder.path / self.results.plan.place(self.planned.work, artifact)
        return path.absolute()

    def finished_items(self, type: type[Row]) -> set[int]:
        """Items whose rows are stored already, of a work that `continues`."""
        address = self.planned.work.address
        return {item for item, _ in self.results.folder.contents(address, type.type)}

    def reached(self, images: int) -> None:
        """So many images of this work are done."""
        self.step.reached(images)

    def tell(self, done: int, of: int, hits: int = 0) -> None:
        """So many of its pictures are through, and so many of these fool."""
        self.step.tell(Tally(done, of, hits))

    def trained(self, progress: TrainProgress) -> None:
        """A step of a training is done."""
        self.step.trained(progress)

    def _before(self, images: int) -> None:
        self.check_stop()
        self._sent += images
        self.step.asked(images)
        self.step.reached(self._sent)

    def _check_need(self, work: Work) -> None:
        own = self.planned.work
        if work.address != own.address and work not in everything_below(own):
            raise AssertionError(f"{own.kind} does not depend on {work.kind}: no field names it")


def _cost(scorer: Scorer) -> Cost:
    return Cost(scorer.queries, scorer.forward_images, scorer.backward_images)
