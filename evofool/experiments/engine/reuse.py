"""Copying finished works from another run with all their dependencies, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evofool.errors import DamagedError, FolderError, StoreError
from evofool.experiments.engine.plan import Plan
from evofool.experiments.engine.results import Results, everything_below
from evofool.experiments.engine.work import Work
from evofool.files import read_file
from evofool.store import Folder, write_atomically
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.works import ArtifactRow


@dataclass(frozen=True)
class Reused:
    """What was taken over from one run.

    Attributes:
        run: its folder.
        run_id: its id.
        works: titles of the works whose rows were taken.
    """

    run: Path
    run_id: str
    works: tuple[str, ...]


def reuse(plan: Plan, folder: ExperimentFolder, sources: Sequence[Path]) -> list[Reused]:
    """Take over finished works of `plan` that other runs hold, digests checked first.

    Args:
        plan: the works that are to be run.
        folder: open for writing.
        sources: run folders of experiments.

    Raises:
        FolderError: one is no run folder of an experiment.
        StoreError: one is damaged, or files cannot be copied.
    """
    return [_reuse(plan, folder, Path(source)) for source in sources]


def _reuse(plan: Plan, folder: ExperimentFolder, source: Path) -> Reused:
    with Folder.open(source) as any_kind:
        kind = any_kind.manifest.get("kind")
    try:
        other = ExperimentFolder.open(source)
    except StoreError as error:
        raise FolderError(
            f"{source}: has no rows that could be taken over (kind {kind!r}): {error}"
        ) from error
    with other:
        if other.whole() is False:
            raise DamagedError(f"{source}: is damaged: evofool verify {source} says where")
        theirs, ours = Results(other, plan), Results(folder, plan)
        taken = []
        for planned in plan:
            work = planned.work
            if ours.is_finished(work):
                continue
            closure = [*everything_below(work), work]
            if not all(theirs.is_finished(each) for each in closure):
                continue
            if not _agree(ours, theirs, closure):
                continue
            for each in closure:
                if not ours.is_finished(each):
                    _copy(plan, folder, other, each)
                    taken.append(plan[each.address].title)
        return Reused(source, str(other.manifest.get("run_id")), tuple(taken))


def _agree(ours: Results, theirs: Results, works: Sequence[Work]) -> bool:
    """Whether what is here of `works` has the very bytes of the other run."""
    return all(
        ours.artifact(work, name).digest == theirs.artifact(work, name).digest
        for work in works
        if ours.is_finished(work)
        for name in work.makes
    )


def _copy(plan: Plan, folder: ExperimentFolder, other: ExperimentFolder, work: Work) -> None:
    stored = other.works()[work.address]
    origin = stored.origin or str(other.manifest.get("run_id"))
    places = [ArtifactRow(work.address, n, plan.place(work, n), "") for n in work.makes]
    folder.forget(work.address)
    folder.begin(stored, places)
    whole = []
    for artifact in other.artifacts(work.address):
        place = plan.place(work, artifact.name)
        _copy_files(other.path / artifact.path, folder.inside(place))
        digest = work.digest_of(artifact.name, folder.path / place)
        if digest != artifact.digest:
            raise DamagedError(
                f"{folder.path / place}: is not what {other.path} says of it; it was changed while"
                " it was copied, or is damaged"
            )
        whole.append(ArtifactRow(work.address, artifact.name, place, digest))
    rows = [row for type in other.types(work.address) for row in other.rows(work.address, type)]
    for row in rows:
        known = {each.type: each for each in work.rows}
        if row.type not in known:
            raise StoreError(f"{other.path}: {work.kind} has no rows of type {row.type!r}")
        known[row.type].parse(row.item, row.content, row.png, str(other.path))
    folder.commit(replace(stored, origin=origin), rows, whole, other.reads(work.address))


def _copy_files(source: Path, target: Path) -> None:
    """Regular files only, and no link is followed."""
    try:
        if source.is_dir() and not source.is_symlink():
            for each in sorted(source.rglob("*")):
                if each.is_symlink() or not each.is_file() or each.name == ".lock":
                    continue
                _copy_files(each, target / each.relative_to(source))
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, read_file(source))
        shutil.copystat(source, target)
    except OSError as error:
        raise StoreError(f"{source}: cannot be copied ({error})") from error
