"""The work of a whole run, in a run folder of its own below that of the sweep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from evofool import kinds
from evofool.config import Loaded
from evofool.errors import BudgetError, StoreError
from evofool.experiments import runs
from evofool.experiments.engine import Artifact, Chunk, Context, Output, Row, Work, outside
from evofool.experiments.engine.work import work
from evofool.experiments.sweep.figures import figures
from evofool.files import is_file
from evofool.store import Check, Folder
from evofool.store.experiment import ExperimentFolder
from evofool.store.manifest import MANIFEST
from evofool.store.records.works import Cost

FOLDER = "run"


@dataclass(frozen=True)
class SweptRow(Row):
    """What a run has come to.

    Attributes:
        figures: by name, see `evofool.experiments.sweep.figures`.
        queries: pictures that were sent to nets for answers.
        seconds: active ones of the run.
    """

    type: ClassVar[str] = "swept"

    figures: dict[str, float | None]
    queries: int
    seconds: float


@work
class SweptRun(Work):
    """A campaign, a run of attacks or the evaluation of a defense.

    Attributes:
        run_kind: evolve, attack or defend.
        recipe: all that determines its result: of an experiment the addresses of its works, of a
            campaign its config with nets and files by their digests.
        loaded: its config.
        expected: about how many images it sends.
        cores: threads that it takes.
    """

    kind: ClassVar[str] = "swept-run"
    rows: ClassVar[tuple[type[Row], ...]] = (SweptRow,)
    makes: ClassVar[tuple[str, ...]] = (FOLDER,)
    continues: ClassVar[bool] = True

    run_kind: str
    recipe: Mapping[str, Any]
    loaded: Loaded[Any] = outside()
    expected: int = outside(default=0)
    cores: int = outside(default=1)

    @property
    def images(self) -> int:
        """A guess."""
        return self.expected

    @property
    def threads(self) -> int:
        """As its config says."""
        return self.cores

    def place(self, artifact: str, called: str) -> str:
        return f"runs/{called}"

    def digest_of(self, artifact: str, path: Path) -> str:
        """Of a campaign its archive digest, of an experiment one of all its rows."""
        with Folder.open(path) as run:
            summary = run.summary()
            if run.meta().get("status") != "finished" or summary is None:
                raise StoreError(f"{path}: the run has not ended")
        if self.run_kind == "evolve":
            return str(summary.get("archive_digest"))
        return _digest_of_rows(path)

    def run(self, context: Context) -> Iterator[Output]:
        path = context.place(FOLDER)
        kind = kinds.find(self.run_kind)
        options: dict[str, Any] = {
            "progress": lambda told: context.reached(self._reached(told)),
            "should_stop": lambda: context.should_stop,
        }
        share = [] if context.share is None else [f"scoring.budget={context.share}"]
        if not is_file(path / MANIFEST):
            loaded = self.loaded
            if share:
                loaded = kind.part("load")(loaded.document.data, share, None)
            kind.part("run")(loaded, path, command=context.command, **options)
        elif not self._is_done(path, context.share):
            runs.resume(path, overrides=share, **options)
        stand = runs.status(path)
        with Folder.open(path) as run:
            summary = run.summary()
        if summary is None:
            raise StoreError(f"{path}: has no summary")
        queries = _count(stand, "queries", _count(stand, "evaluations"))
        forward = _count(summary, "forward_images", queries)
        stored = context.results.stored(self)
        before = Cost() if stored is None else stored.cost  # of when its share was smaller
        context.book(
            Cost(
                max(0, queries - before.queries),
                max(0, forward - before.forward_images),
                max(0, _count(stand, "backward_images") - before.backward_images),
            )
        )
        row = SweptRow(0, figures(self.run_kind, summary), queries, float(stand["seconds"]))
        if context.share is not None and summary.get("stop_reason") == "budget":
            yield Chunk(())  # what it has sent so far was not in vain
            raise BudgetError(f"{context.planned.title}: its share of the query budget is spent")
        yield Artifact(FOLDER, self.digest_of(FOLDER, path))
        yield row

    def verify(self, context: Context) -> Iterator[Check]:
        """All that `evofool verify` looks at in the run's own folder, as one check."""
        path = context.artifact(self, FOLDER)
        checks = list(runs.verify(path))
        wrong = [f"{check.name}: {check.detail}" for check in checks if check.ok is False]
        detail = "; ".join(wrong[:2]) or f"{len(checks)} checks are fine"
        yield Check(path.name, not wrong, detail)

    def _is_done(self, path: Path, share: int | None) -> bool:
        """Whether a run has come to its end, and not to that of a smaller share."""
        with Folder.open(path) as run:
            meta = run.meta()
        if meta.get("status") != "finished":
            return False
        return share is None or meta.get("stop_reason") != "budget"

    def _reached(self, told: Any) -> int:
        evaluations = getattr(told, "evaluations", None)
        if evaluations is not None:
            return int(evaluations)
        return int(getattr(told, "share_done", 0.0) * self.expected)


def _count(of: Mapping[str, Any], name: str, default: int = 0) -> int:
    value = of.get(name, default)
    return value if type(value) is int else default


def _digest_of_rows(path: Path) -> str:
    digest = hashlib.sha256()
    with ExperimentFolder.open(path) as run:
        for address, stored in run.works().items():
            digest.update(json.dumps([address, stored.finished]).encode())
            for type_ in run.types(address):
                for row in run.rows(address, type_):
                    png = None if row.png is None else hashlib.sha256(row.png).hexdigest()
                    line = [row.type, row.item, row.content, png]
                    digest.update(json.dumps(line).encode())
            for made in run.artifacts(address):
                digest.update(json.dumps([made.name, made.digest]).encode())
    return digest.hexdigest()
