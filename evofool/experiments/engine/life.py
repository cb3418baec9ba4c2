"""The life of an experiment's run folder: begin, resume, draw again, status, verify."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evofool.config import Loaded, moved_classifier, to_yaml
from evofool.errors import (
    BudgetError,
    ConfigError,
    EvofoolError,
    FolderError,
    Interrupted,
    StoreError,
    UsageError,
)
from evofool.experiments.engine.changes import (
    begun_with,
    change_of_plan,
    edited,
    edited_keys,
    listed,
    planned,
    record_changeable,
    record_changes,
)
from evofool.experiments.engine.drawing import write_report
from evofool.experiments.engine.elsewhere import Elsewhere
from evofool.experiments.engine.progress import Meter, OnProgress
from evofool.experiments.engine.results import Results
from evofool.experiments.engine.reuse import reuse as take_over
from evofool.experiments.engine.run import WorksFailedError, run_plan
from evofool.experiments.engine.spending import settle
from evofool.experiments.engine.study import Study
from evofool.experiments.engine.verifying import check_works
from evofool.ray_session import session
from evofool.scoring.ledger import Heading
from evofool.store import Check, Folder, Result, head_of
from evofool.store.checking import check_folder, check_victim, seed_faults, victim_faults
from evofool.store.code import check_code
from evofool.store.experiment import ExperimentFolder
from evofool.store.fixed import refuse_encoding
from evofool.store.folder import CONFIG
from evofool.store.manifest import check_classifier, new_manifest


@dataclass(frozen=True)
class Options:
    """How a run is carried out, which its results do not depend on.

    Attributes:
        progress: called now and then.
        should_stop: asked before every request to a net and after every step of a training; once
            it is true the run ends as interrupted, all that is done saved.
        reuse: run folders whose rows may be taken over.
        executor: what works are given to; one after the other in this thread by default.
        at_once: works at a time; without an executor each is done in a thread.
        ray: the address of a cluster of Ray that works are sent to, or True for one that is started
            on this machine; False does them here.
        draw_when_stopped: draw the report of what is done and return, instead of raising
            `Interrupted`; of kinds whose report can be `Study.partial`.
        say: told what a person should know at once.
    """

    progress: OnProgress | None = None
    should_stop: Callable[[], bool] | None = None
    reuse: Sequence[Path | str] = ()
    executor: Executor | None = None
    at_once: int = 1
    ray: bool | str = False
    draw_when_stopped: bool = False
    say: Callable[[str], None] = field(default_factory=lambda: logging.getLogger("evofool").warning)


def begin(
    study: type[Study[Any]],
    source: Any,
    out: Path | str,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    command: str | None = None,
    options: Options | None = None,
    **fields: Any,
) -> Result:
    """Carry out an experiment in a new run folder.

    Args:
        study: of which kind.
        source: a config file, the name of a shipped one, a mapping, a config object, or a config
            that is loaded already.
        out: the run folder, which must not hold anything yet.
        seed: instead of the config's.
        overrides: ``key.sub=value``.
        command: the command line, for the manifest.
        options: progress and the like.
        fields: the same by name, instead.

    Raises:
        ConfigError: the config is wrong, or does not fit nets and data.
        StoreError: the folder cannot be used.
        EvofoolError: a work failed; what was done so far is saved.
    """
    if isinstance(source, Loaded) and (overrides or seed is not None):
        raise UsageError("a config that is already loaded takes no overrides and no other seed")
    options = options or Options(**fields)
    loaded = source if isinstance(source, Loaded) else study.load(source, overrides, seed)
    ExperimentFolder.check_free(Path(out))
    made = study.make(loaded)
    manifest = {
        **new_manifest(study.kind, made.victim, loaded.config.seed, command),
        **begun_with(made),
    }
    with (
        _cluster(made, options.ray),  # before a folder is made for nothing
        ExperimentFolder.create(Path(out), manifest, to_yaml(made.loaded.config)) as run,
    ):
        if made.victim is not None:
            run.bookings.remember_probe(made.victim.probed)
        _book_probe(made, run, 0)
        return _carry_out(made, run, options)


def resume(
    study: type[Study[Any]],
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    options: Options | None = None,
    **fields: Any,
) -> Result:
    """Go on with an experiment from its folder.

    A config that was edited since is another plan: what it shares with the old one is kept.

    Args:
        study: of which kind.
        path: the run folder.
        classifier: where the classifier is now, if its file has moved; its digest must be the
            same. Not for experiments on several nets.
        encoding: not for experiments.
        overrides: of what is `Study.changeable` only, such as ``scoring.workers``.
        options: progress and the like.
        fields: the same by name, instead.

    Raises:
        FolderError: no run of this kind, or it names code that it was not begun with.
        StoreError: a damaged run folder.
        RunBusyError: another process is running it.
        ConfigError, UsageError: the config is wrong, or an override would change the result.
    """
    _refuse_moved(study, classifier, encoding)
    study.changeable.check_overrides(overrides)
    options = options or Options(**fields)
    with _opened(study, path, writable=True) as run:
        before = _load(study, run).config
        loaded = _load_moved(study, run, classifier, overrides)
        settle(run)
        study.check_resume(run, loaded.config, overrides)
        charged = run.bookings.charge_probe(study.budget_of(loaded.config))
        made = study.restored(loaded, run, edited_keys(study, run, loaded.config))
        _book_probe(made, run, charged)
        changed = record_changes(run, made)
        if changed is None:
            if made.victim is not None:
                check_classifier(run.path, run.manifest, made.victim)
            record_changeable(run, made, before)
        else:
            options.say(change_of_plan(run, made.plan, changed))
        return _carry_out(made, run, options)


def redraw(study: type[Study[Any]], path: Path | str) -> Result:
    """Draw the report of a finished run again from its rows.

    Raises:
        FolderError: it is not finished, or its config was edited since.
        StoreError: it is damaged.
        ConfigError: its nets or data are not to be had here.
    """
    with _opened(study, path, writable=True) as run:
        made, results = _finished(study, run)
        whole = run.whole()
        report = made.report(results, run.manifest)
        write_report(report, run)
        if whole:  # what was changed by hand since its end gets no new digest here
            run.seal({})
        return Result(run.path, report.summary or {})


def status(study: type[Study[Any]], path: Path | str) -> dict[str, Any]:
    """Status and counts as JSON values; loads no classifier.

    Raises:
        StoreError: no run of this kind, or a damaged one.
    """
    with _opened(study, path) as run:
        titles = planned(run)
        works = run.works()
        finished = [a for a in titles if a in works and works[a].finished]
        own = [works[address] for address in titles if address in works]
        here = [work.cost for work in works.values() if not work.origin]
        spent = sum(here, run.repeated())  # in this run, whatever of it is still used
        return {
            **head_of(run),
            "works": len(titles),
            "finished": len(finished),
            "reused": sum(bool(work.origin) for work in own),
            "unused": sum(address not in titles for address in works),
            **{name: getattr(spent, name) for name in ("queries", "backward_images")},
            "seconds": round(run.seconds(), 3),
            **study.counted(run, run.roles()),
        }


def verify(
    study: type[Study[Any]],
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    engine: str | None = None,
) -> Iterator[Check]:
    """Check an experiment, each check as soon as it is done.

    The database and the manifest; the nets against what the run was made with; every row against
    its type, every artifact against its digest; pictures by asking the nets again; the files that
    were drawn from the rows by drawing them again.

    Args:
        study: of which kind.
        path: the run folder.
        classifier: as in `resume`.
        encoding: not for experiments.
        engine: what scores pictures again, of kinds that let it be chosen.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its nets or data cannot be had.
    """
    _refuse_moved(study, classifier, encoding)
    with _opened(study, path) as run:
        yield from check_folder(run)
        try:
            loaded = _load_moved(study, run, classifier)
        except FolderError as error:
            yield Check("config", False, str(error))
            return
        keys = edited(study, run, loaded.config)
        detail = f"was edited: {'; '.join(keys[:3])}" if keys else "is as it was last run"
        yield Check("config", not keys, detail)
        charged = 0
        if run.can_book:
            charged = run.bookings.charge_probe(study.budget_of(loaded.config))
        made = study.restored(loaded, run, edited_keys(study, run, loaded.config))
        if run.can_book:
            _book_probe(made, run, charged)
        faults = seed_faults(run.manifest, loaded.config.seed)
        if made.victim is not None and not keys:
            check_classifier(run.path, run.manifest, made.victim)
            yield check_victim(victim_faults(run.manifest, made.victim) + faults)
        else:
            yield Check("seed", not faults, "; ".join(faults) or "is the config's")
        yield check_works(run)
        yield from made.checks(Results(run, made.plan), engine)


def _carry_out(made: Study[Any], run: ExperimentFolder, options: Options) -> Result:
    plan = made.plan
    names = [[p.work.address, p.title] for p in plan]
    roles = {name: work.address for name, work in made.roles.items()}
    run.set_meta(
        {
            "status": "running",
            "stop_reason": "",
            "plan": json.dumps(names),
            "roles": json.dumps(roles),
        }
    )
    for taken in take_over(plan, run, [Path(path) for path in options.reuse]):
        if taken.works:
            options.say(f"taken over from {taken.run}: {listed(taken.works)}")
        else:
            options.say(f"{taken.run} holds nothing that this run still needs")
    sent = sum(work.cost.queries for a, work in run.works().items() if a in plan)
    meter = Meter(options.progress, options.should_stop, run.seconds(), sent)
    results, reason = Results(run, plan), ""
    try:
        try:
            with _workers(made, run, options) as (executor, at_once, elsewhere):
                run_plan(
                    plan,
                    run,
                    meter,
                    command=run.manifest.get("command"),
                    executor=executor,
                    at_once=at_once,
                    spending=made.spending(run),
                    engines=made.engines,
                    elsewhere=elsewhere,
                )
        except BudgetError:
            if not made.partial:
                raise
            reason = "budget"
        run.set_meta({"seconds": repr(meter.seconds), "stop_reason": reason})
        drawing = meter.begin("report", 0)
        report = made.report(results, run.manifest)
        write_report(report, run)
        drawing.end()
    except StoreError:
        raise
    except EvofoolError as error:
        interrupted = isinstance(error, Interrupted)
        run.seal({"status": "interrupted" if interrupted else "failed"})
        if interrupted and made.partial and options.draw_when_stopped:
            report = made.report(results, run.manifest)
            write_report(report, run)
            run.seal({})
            return Result(run.path, report.summary or {})
        # whoever waits for the error of a net or a config gets it, whatever stood on that work
        first = error.__cause__ if isinstance(error, WorksFailedError) else error
        raise (type(first) if isinstance(first, EvofoolError) else type(error))(
            f"{('stopped' if interrupted else error)}; what is done is saved; continue with:"
            f" evofool resume {run.path}"
        ) from error
    run.seal({"status": "finished"})
    return Result(run.path, report.summary or {})


@contextmanager
def _workers(
    made: Study[Any], run: ExperimentFolder, options: Options
) -> Iterator[tuple[Executor | None, int, Elsewhere | None]]:
    """Threads that works are given to, how many at a time, and where they send them."""
    if options.ray is False and (options.executor is not None or options.at_once == 1):
        yield options.executor, options.at_once, None
        return
    if options.ray is False:
        with ThreadPoolExecutor(options.at_once, "works") as threads:
            yield threads, options.at_once, None
        return
    results = Results(run, made.plan)
    if all(results.is_finished(planned.work) for planned in made.plan):
        yield None, 1, None  # nothing to start a cluster for
        return
    from evofool.experiments.engine.ray.driver import RayWorks, bound_to_the_driver

    if reason := bound_to_the_driver(made):
        options.say(f"--ray: {reason}; the works are done here, one after the other")
        yield None, 1, None
        return
    with _cluster(made, options.ray) as ray, RayWorks(ray, made, run) as works:
        at_once = min(works.at_once, len(made.plan))
        with ThreadPoolExecutor(at_once, "works") as threads:
            yield threads, at_once, works


@contextmanager
def _cluster(made: Study[Any], ray: bool | str) -> Iterator[Any]:
    """Ray, connected, where it is asked for and there is anything to send to it."""
    from evofool.experiments.engine.ray.driver import bound_to_the_driver

    if ray is False or bound_to_the_driver(made):
        yield None
        return
    with session(ray if isinstance(ray, str) else None) as module:
        yield module


def _book_probe(made: Study[Any], run: ExperimentFolder, charged: int) -> None:
    """Book the pictures that the victim was sent when it was loaded, `charged` of them before."""
    if made.victim is not None and made.victim.probed != charged:
        run.bookings.add({Heading.PROBE: made.victim.probed - charged})


def _finished(study: type[Study[Any]], run: ExperimentFolder) -> tuple[Study[Any], Results]:
    loaded = _load_moved(study, run, None)
    made = study.restored(loaded, run, edited_keys(study, run, loaded.config))
    results = Results(run, made.plan)
    missing = [p.title for p in made.plan if not results.is_finished(p.work)]
    if missing and not made.partial:
        raise FolderError(
            f"{run.path}: cannot be drawn yet: {listed(missing)} not done; continue with"
            f" evofool resume {run.path}"
        )
    return made, results


def _opened(
    study: type[Study[Any]], path: Path | str, *, writable: bool = False
) -> ExperimentFolder:
    with Folder.open(Path(path)) as run:
        kind = run.manifest.get("kind")
    if kind != study.kind:
        raise FolderError(f"{path}: holds a run of kind {kind!r}, not {study.kind}")
    return ExperimentFolder.open(Path(path), writable=writable)


def _load(
    study: type[Study[Any]], run: ExperimentFolder, overrides: Sequence[str] = ()
) -> Loaded[Any]:
    try:
        return study.load(run.path / CONFIG, overrides, check_files=False)
    except ConfigError as error:
        if overrides:
            raise
        raise FolderError(f"{run.path}: damaged: {error}") from error


def _load_moved(
    study: type[Study[Any]],
    run: ExperimentFolder,
    classifier: str | None,
    overrides: Sequence[str] = (),
) -> Loaded[Any]:
    """The config with what may still be changed changed, once the code that it names is checked."""
    moved = () if classifier is None else (moved_classifier(classifier, run.path / CONFIG),)
    loaded = _load(study, run, (*overrides, *moved))
    check_code(run, loaded.config, moved=[each.partition("=")[0] for each in moved])
    return loaded


def _refuse_moved(study: type[Study[Any]], classifier: str | None, encoding: str | None) -> None:
    if classifier is not None and study.moved:
        raise UsageError(f"--classifier: {study.moved}")
    refuse_encoding(encoding)
