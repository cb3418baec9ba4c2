"""The results of works, read from a run folder: typed rows, artifacts, costs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from evofool.errors import StoreError
from evofool.experiments.engine.plan import Plan
from evofool.experiments.engine.work import Row, Work
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.works import ArtifactRow, Cost, WorkRow

R = TypeVar("R", bound=Row)
T = TypeVar("T")
REMEMBERED = 16
"""Things that are kept in memory for works that need them again."""


class Results:
    """The results of the works of a plan.

    Args:
        folder: open for as long as the results are used.
        plan: whose works may be asked for.
    """

    def __init__(self, folder: ExperimentFolder, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._sound: set[tuple[Path, str]] = set()
        self._remembered: OrderedDict[Hashable, Any] = OrderedDict()
        self._remembering = threading.Lock()

    def rows(self, work: Work, type: type[R]) -> list[R]:
        """The rows of one type that a work has yielded, in the order of their items.

        Raises:
            StoreError: one is damaged.
        """
        where = self._where(work)
        return [
            type.parse(item, content, None, where)
            for item, content in self.folder.contents(work.address, type.type)
        ]

    def with_pictures(self, work: Work, type: type[R]) -> list[R]:
        """`rows` with their pictures."""
        where = self._where(work)
        return [
            type.parse(row.item, row.content, row.png, where)
            for row in self.folder.rows(work.address, type.type)
        ]

    def only(self, work: Work, type: type[R]) -> R:
        """The one row of a type of which a work finds one.

        Raises:
            StoreError: it is missing or damaged.
        """
        rows = self.rows(work, type)
        if len(rows) != 1:
            raise StoreError(f"{self._where(work)}: has {len(rows)} rows {type.type}, not one")
        return rows[0]

    def picture(self, work: Work, type: type[Row], item: int) -> bytes:
        """The picture of a row as a PNG file.

        Raises:
            StoreError: there is none.
        """
        png = self.folder.png(work.address, type.type, item)
        if png is None:
            raise StoreError(f"{self._where(work)}: the picture of {type.type} {item} is missing")
        return png

    def stored(self, work: Work) -> WorkRow | None:
        """A work as it is stored; None if it was never begun."""
        return self.folder.work(work.address)

    def artifact(self, work: Work, name: str) -> ArtifactRow:
        """Something that a work has made, whole.

        Raises:
            StoreError: it is not there, or not finished.
        """
        for artifact in self.folder.artifacts(work.address):
            if artifact.name == name and artifact.digest:
                return artifact
        raise StoreError(f"{self._where(work)}: has not made {name} yet; evofool resume makes it")

    def path(self, work: Work, name: str) -> Path:
        """Where an artifact lies."""
        return (self.folder.path / self.artifact(work, name).path).absolute()

    def is_finished(self, work: Work) -> bool:
        """Whether all results of a work are here, byte for byte as it left them."""
        stored = self.stored(work)
        if stored is None or not stored.finished:
            return False
        own = {a.name: a for a in self.folder.artifacts(work.address)}
        if not all(self._is_whole(work, own.get(name)) for name in work.makes):
            return False
        by_address = {need.address: need for need in everything_below(work)}
        for read in self.folder.reads(work.address):
            source = by_address.get(read.source)
            if source is None:
                return False
            artifacts = {a.name: a for a in self.folder.artifacts(read.source)}
            used = artifacts.get(read.name)
            if used is None or used.digest != read.digest or not self._is_whole(source, used):
                return False
        return True

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once as long as it is among the last that were asked for.

        For what several works need and what takes long to make: nets, pictures bred again.
        """
        with self._remembering:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                value: T = self._remembered[key]
                return value
        made = make()
        with self._remembering:
            self._remembered[key] = made
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return made

    def cost(self, work: Work) -> Cost:
        """What a work took by itself."""
        stored = self.stored(work)
        return Cost() if stored is None else stored.cost

    def took(self) -> str:
        """How long the run took, for people; also the earlier runs that works were taken from."""
        own = self.folder.seconds()
        works = [work for a, work in self.folder.works().items() if a in self.plan]
        taken = [work.cost.seconds for work in works if work.origin]
        if not taken:
            return f"{own:,.0f} s"
        here = f"{own:,.0f} s, and " if own >= 0.5 else ""
        which = "all" if len(taken) == len(works) else f"{len(taken):,} of the {len(works):,}"
        return f"{here}{sum(taken):,.0f} s in earlier runs, from which {which} works were reused"

    def whole_cost(self, works: Iterable[Work]) -> Cost:
        """The costs of works and of all their dependencies, each address counted once."""
        all_works = {w.address: w for each in works for w in (each, *everything_below(each))}
        stored = self.folder.works()
        return sum((stored[a].cost for a in all_works if a in stored), Cost())

    def _is_whole(self, work: Work, artifact: ArtifactRow | None) -> bool:
        """Whether an artifact lies there as its digest says; looked at until it once does."""
        if artifact is None or not artifact.digest:
            return False
        path = self.folder.path / artifact.path
        key = (path, artifact.digest)
        if key in self._sound:
            return True
        try:
            whole = work.digest_of(artifact.name, path) == artifact.digest
        except StoreError:
            return False
        if whole:  # what is missing may be made yet
            self._sound.add(key)
        return whole

    def _where(self, work: Work) -> str:
        title = self.plan[work.address].title if work.address in self.plan else work.kind
        return f"{self.folder.path}: {title} ({work.address[:12]})"


def everything_below(work: Work) -> Sequence[Work]:
    """All that a work stands on, directly or not, each once, what is deepest first."""
    below: dict[str, Work] = {}
    for need in work.needs:
        for each in (*everything_below(need), need):
            below.setdefault(each.address, each)
    return tuple(below.values())
