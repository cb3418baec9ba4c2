"""The comparison of run folders as a study: its plan takes over what they hold."""

from __future__ import annotations

from evofool.classifiers.base import short_name
from evofool.config import Loaded
from evofool.errors import EvofoolError, FolderError
from evofool.experiments.compare.searches import Arm, Compared, LeftOut
from evofool.experiments.compare.stored.comparisons import restored
from evofool.experiments.compare.stored.config import RunsConfig
from evofool.experiments.compare.stored.gathered import (
    Gathered,
    check_given_once,
    gathered,
    gone,
)
from evofool.experiments.compare.stored.works import StoredSearch
from evofool.experiments.engine.changes import planned
from evofool.store.experiment import ExperimentFolder
from evofool.text import counted


def compared(loaded: Loaded[RunsConfig]) -> Compared:
    """What the run folders of a config hold.

    Raises:
        ConfigError: one is no run folder, is damaged, given twice or of a kind that cannot be
            compared; or no two methods have a class in common.
    """
    config = loaded.config
    try:
        check_given_once(config.paths)
        return _compared(config, gathered(config.paths))
    except EvofoolError as error:
        raise loaded.error_at("runs", str(error)) from error


def compared_again(loaded: Loaded[RunsConfig], run: ExperimentFolder) -> Compared:
    """The same of a comparison whose folder is there; raises as `compared`.

    Where a run folder is gone, what was taken over from it before is taken; all must be.

    Raises:
        FolderError: a run folder is gone before all was taken over.
    """
    missing = gone(loaded.config.paths)
    if not missing:
        return compared(loaded)
    works = run.works()
    stored = [works[address] for address in planned(run) if address in works]
    if not stored or len(stored) != len(planned(run)) or not all(w.finished for w in stored):
        raise FolderError(
            f"{run.path}: {missing[0]} no longer exists, and not all of it had been taken over"
        )
    taken = [restored(run, work) for work in stored if work.kind == StoredSearch.kind]
    grouped: dict[tuple[str, str], dict[int, StoredSearch]] = {}
    for work in taken:
        grouped.setdefault((work.victim.name, work.title), {})[work.seed] = work
    arms = []
    for (net, title), runs in grouped.items():
        first = next(iter(runs.values()))
        sought = None if len(first.sought) == len(first.victim.labels) else first.sought
        arms.append(
            Arm(net, title, first.sees, first.family, runs, first.each, first.by, sought)  # type: ignore[arg-type]
        )
    labels = {work.victim.name: work.victim.labels for work in taken}
    note = f"{counted(len(missing), 'run folder')} not there any more: shown as taken over."
    return _compared(loaded.config, Gathered(tuple(arms), labels, (), (note,)))


def _compared(config: RunsConfig, found: Gathered) -> Compared:
    left_out = [
        LeftOut(one.victim, f"{one.method} of {short_name(one.run)}", one.reason)
        for one in found.left_out
    ]
    return Compared(config, found.arms, tuple(left_out), found.labels, notes=found.notes)
