"""What an experiment declares, and the life of its run folder: begin, resume, status, verify.

An experiment is a subclass of `Study`: from a config to a plan of works, and from their results to
a report. All else is the same for all of them, and is here.
"""

from __future__ import annotations

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from evofool.classifiers import Classifier
from evofool.config import Loaded, Model, load_model, moved_classifier, to_yaml
from evofool.config.loading import validate, with_seed
from evofool.errors import (
    BudgetError,
    ConfigError,
    EvofoolError,
    FolderError,
    Interrupted,
    StoreError,
    UsageError,
)
from evofool.experiments.engine import lines
from evofool.experiments.engine.context import Context, Engines
from evofool.experiments.engine.plan import Plan
from evofool.experiments.engine.progress import Meter, OnProgress
from evofool.experiments.engine.results import Results
from evofool.experiments.engine.reuse import reuse as take_over
from evofool.experiments.engine.run import WorksFailedError, run_plan
from evofool.experiments.engine.spending import Spending, settle
from evofool.experiments.engine.work import Work
from evofool.files import read_file
from evofool.report.output import Drawn
from evofool.scoring.ledger import Heading
from evofool.store import Check, Folder, Result, head_of
from evofool.store.checking import check_folder, check_victim, seed_faults, victim_faults
from evofool.store.code import check_code, code_of
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import json_object
from evofool.store.fixed import Changeable, differences, fixed_part, refuse_encoding
from evofool.store.folder import CONFIG
from evofool.store.history import with_changes
from evofool.store.manifest import check_classifier, new_manifest, repointed

C = TypeVar("C", bound=BaseModel)
CHANGEABLE = Changeable(("scoring.workers",))
"""What of most experiments' configs never makes another plan."""
_SHOWN = 6
"""Titles of works that one message names."""


class Study(ABC, Generic[C]):
    """An experiment on the nets and data of one config.

    Attributes:
        loaded: the config.
        plan: what is to be found out.
        victim: the net that the manifest describes; None if the experiment trains all of its nets.
    """

    kind: ClassVar[str]
    """Of its configs and run folders."""
    config: ClassVar[type[Model]]
    """Of its configs; it has a key ``seed``."""
    moved: ClassVar[str] = "an experiment names several nets; put the file where config.yaml says"
    """Why its run folders take no ``--classifier``; empty where they do."""
    changeable: ClassVar[Changeable] = CHANGEABLE
    """What of its config never makes another plan."""
    partial: ClassVar[bool] = False
    """Whether its report can be drawn while works are missing or cut short by a budget."""

    roles: Mapping[str, Work] = MappingProxyType({})
    """Works by the name under which whoever reads the run folder looks for them."""
    engines: Engines = MappingProxyType({})
    """Of nets that were scored by when it was made."""

    def __init__(self, loaded: Loaded[C], plan: Plan, victim: Classifier | None = None) -> None:
        self.loaded, self.plan, self.victim = loaded, plan, victim

    @classmethod
    def load(
        cls,
        source: Any,
        overrides: Sequence[str] = (),
        seed: int | None = None,
        check_files: bool = True,
    ) -> Loaded[Any]:
        """A config of this kind, as `config` says; a kind whose configs name files overrides it.

        Args:
            source: a file, the name of a shipped config, a mapping, or a config object.
            overrides: ``key.sub=value``.
            seed: instead of the config's.
            check_files: whether files that it names must be there.

        Raises:
            ConfigError: anything is wrong; the message starts with the place.
        """
        loaded = load_model(source, cls.config, overrides)
        document = with_seed(loaded.document, seed)
        return Loaded(validate(document, cls.config), document)

    @classmethod
    @abstractmethod
    def make(cls, loaded: Loaded[C]) -> Study[C]:
        """The study of a config: its nets and data are loaded, nothing is sent to a net.

        Raises:
            ConfigError: the config does not fit its nets or data.
        """

    @classmethod
    def restored(cls, loaded: Loaded[C], run: ExperimentFolder, edited: Sequence[str]) -> Study[C]:
        """The study of a config whose run folder is there; raises as `make`, and FolderError.

        Args:
            loaded: the config.
            run: its folder.
            edited: dotted keys that are not as they were when it was last run.
        """
        return cls.make(loaded)

    @abstractmethod
    def report(self, results: Results, manifest: Mapping[str, Any]) -> Drawn:
        """Draw the report of finished works; a function of their rows alone.

        Args:
            results: of all works of the plan.
            manifest: of the run.

        Raises:
            StoreError: a row is damaged.
        """

    @classmethod
    def budget_of(cls, config: C) -> int | None:
        """Most pictures that its works may send to nets, or None."""
        return None

    @classmethod
    def check_resume(cls, run: ExperimentFolder, config: C, overrides: Sequence[str]) -> None:
        """Refuse to go on, before any net is loaded; raises UsageError."""

    def spending(self, run: ExperimentFolder) -> Spending:
        """What its works may send."""
        return Spending(run.bookings)

    def checks(self, results: Results, engine: str | None) -> Iterator[Check]:
        """Check rows, artifacts and files; `engine` scores pictures again, where it is given."""
        yield from verify_works(self, results)

    @classmethod
    def counted(cls, run: ExperimentFolder, roles: Mapping[str, str]) -> dict[str, Any]:
        """What its status says beside what all kinds say, as JSON values.

        Args:
            run: the folder.
            roles: addresses of `roles`.
        """
        return {}

    def described(self) -> dict[str, Any]:
        """What the manifest says beside what all kinds say."""
        return {}

    # what `evofool.kinds` asks of a kind with a study

    @classmethod
    def run(
        cls,
        loaded: Any,
        out: Path | str,
        *,
        command: str | None = None,
        seed: int | None = None,
        overrides: Sequence[str] = (),
        **options: Any,
    ) -> Result:
        """`begin`, with the fields of `Options` by name."""
        return begin(
            cls, loaded, out, seed=seed, overrides=overrides, command=command,
            options=Options(**options),
        )  # fmt: skip

    @classmethod
    def resume(
        cls,
        path: Path | str,
        *,
        classifier: str | None = None,
        encoding: str | None = None,
        overrides: Sequence[str] = (),
        **options: Any,
    ) -> Result:
        """`resume`, with the fields of `Options` by name."""
        return resume(
            cls, path, classifier=classifier, encoding=encoding, overrides=overrides,
            options=Options(**options),
        )  # fmt: skip

    @classmethod
    def status(cls, path: Path | str) -> dict[str, Any]:
        """`status` of a run of this kind."""
        return status(cls, path)

    @classmethod
    def verify(
        cls,
        path: Path | str,
        *,
        classifier: str | None = None,
        encoding: str | None = None,
        engine: str | None = None,
    ) -> Iterator[Check]:
        """`verify` of a run of this kind."""
        return verify(cls, path, classifier=classifier, encoding=encoding, engine=engine)

    @classmethod
    def plan_lines(cls, plan: Any) -> list[str]:
        """What a dry run prints; `plan` is a study that was made."""
        return lines.plan_lines(plan.loaded.config, plan.plan)

    @classmethod
    def result_lines(cls, result: Result, pages: Sequence[Path]) -> list[str]:
        """What a run prints at its end."""
        return lines.result_lines(result, pages)

    @classmethod
    def outcome(cls, run: ExperimentFolder) -> dict[str, Any]:
        """What the status of a run says beside what all kinds say, as JSON values.

        Raises:
            StoreError: the run is damaged.
        """
        return {}


@dataclass(frozen=True)
class Options:
    """How a run is carried out, which its results do not depend on.

    Attributes:
        progress: called now and then.
        should_stop: asked before every request to a net and after every step of a training; once
            it is true the run ends as interrupted, all that is done saved.
        reuse: run folders whose rows may be taken over.
        executor: what works are given to; one after the other in this thread by default.
        at_once: works that the executor is given at a time.
        draw_when_stopped: draw the report of what is done and return, instead of raising
            `Interrupted`; of kinds whose report can be `Study.partial`.
        say: told what a person should know at once.
    """

    progress: OnProgress | None = None
    should_stop: Callable[[], bool] | None = None
    reuse: Sequence[Path | str] = ()
    executor: Executor | None = None
    at_once: int = 1
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

    Raises:
        ConfigError: the config is wrong, or does not fit nets and data.
        StoreError: the folder cannot be used.
        EvofoolError: a work failed; what was done so far is saved.
    """
    if isinstance(source, Loaded) and (overrides or seed is not None):
        raise UsageError("a config that is loaded already takes no overrides and no other seed")
    loaded = source if isinstance(source, Loaded) else study.load(source, overrides, seed)
    ExperimentFolder.check_free(Path(out))
    made = study.make(loaded)
    manifest = {
        **new_manifest(study.kind, made.victim, loaded.config.seed, command),
        **_begun_with(made),
    }
    with ExperimentFolder.create(Path(out), manifest, to_yaml(made.loaded.config)) as run:
        if made.victim is not None:
            run.bookings.remember_probe(made.victim.probed)
        _book_probe(made, run, 0)
        return _carry_out(made, run, options or Options())


def resume(
    study: type[Study[Any]],
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    options: Options | None = None,
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

    Raises:
        FolderError: no run of this kind, or it names code that it was not begun with.
        StoreError: a damaged run folder.
        RunBusyError: another process is running it.
        ConfigError, UsageError: the config is wrong, or an override would change the result.
    """
    _refuse_moved(study, classifier, encoding)
    study.changeable.check_overrides(overrides)
    options = options or Options()
    with _opened(study, path, writable=True) as run:
        before = _load(study, run).config
        loaded = _load_moved(study, run, classifier, overrides)
        settle(run)
        study.check_resume(run, loaded.config, overrides)
        charged = run.bookings.charge_probe(study.budget_of(loaded.config))
        made = study.restored(loaded, run, _edited_keys(study, run, loaded.config))
        _book_probe(made, run, charged)
        changed = _record_changes(run, made)
        if changed is None:
            if made.victim is not None:
                check_classifier(run.path, run.manifest, made.victim)
            _record_changeable(run, made, before)
        else:
            options.say(_change_of_plan(run, made.plan, changed))
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
        report = made.report(results, run.manifest)
        report.write(run)
        return Result(run.path, report.summary or {})


def status(study: type[Study[Any]], path: Path | str) -> dict[str, Any]:
    """Status and counts as JSON values; loads no classifier.

    Raises:
        StoreError: no run of this kind, or a damaged one.
    """
    with _opened(study, path) as run:
        planned = _planned(run)
        works = run.works()
        finished = [a for a in planned if a in works and works[a].finished]
        own = [works[address] for address in planned if address in works]
        here = [work.cost for work in works.values() if not work.origin]
        spent = sum(here, run.repeated())  # in this run, whatever of it is still used
        return {
            **head_of(run),
            **study.outcome(run),
            "works": len(planned),
            "finished": len(finished),
            "reused": sum(bool(work.origin) for work in own),
            "unused": sum(address not in planned for address in works),
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
        edited = _edited(study, run, loaded.config)
        detail = f"was edited: {'; '.join(edited[:3])}" if edited else "is as it was last run"
        yield Check("config", not edited, detail)
        charged = 0
        if run.can_book:
            charged = run.bookings.charge_probe(study.budget_of(loaded.config))
        made = study.restored(loaded, run, _edited_keys(study, run, loaded.config))
        if run.can_book:
            _book_probe(made, run, charged)
        faults = seed_faults(run.manifest, loaded.config.seed)
        if made.victim is not None and not edited:
            check_classifier(run.path, run.manifest, made.victim)
            yield check_victim(victim_faults(run.manifest, made.victim) + faults)
        else:
            yield Check("seed", not faults, "; ".join(faults) or "is the config's")
        yield check_works(run)
        yield from made.checks(Results(run, made.plan), engine)


def verify_works(made: Study[Any], results: Results) -> Iterator[Check]:
    """Check the rows and artifacts of every work, and the files that were drawn from them."""
    run = results.folder
    whole = True
    for planned in made.plan:
        work = planned.work
        if not results.is_finished(work):
            whole = False
            stored = results.stored(work)
            if stored is not None and stored.finished:
                yield Check(planned.title, False, "what it made or stood on is not as it was")
            else:
                yield Check(planned.title, None, "not done yet (evofool resume)")
            continue
        n = 0
        try:
            for type in work.rows:
                n += len(results.with_pictures(work, type))
        except StoreError as error:
            yield Check(planned.title, False, str(error))
            whole = False
            continue
        yield Check(planned.title, True, f"{n} rows load, {len(work.makes)} artifacts are whole")
        context = Context(results, planned, Meter(None, None, 0.0), None)
        yield from work.verify(context)
    if not whole or run.meta().get("status") != "finished":
        yield Check("report", None, "not drawn yet: the run has not ended (evofool resume)")
        return
    drawn = _Files()
    made.report(results, run.manifest).write(drawn)
    for name, data in drawn.files.items():
        if name.endswith(".png"):
            continue  # what draws them may be another version
        try:
            same = read_file(run.path / name) == data
        except OSError:
            same = False
        yield Check(name, same, "holds the stored rows" if same else "differs or is missing")


def check_works(run: ExperimentFolder) -> Check:
    """Whether every work that is stored, used or not, is what its address says."""
    try:
        works, artifacts = run.works(), run.artifacts()
    except StoreError as error:
        return Check("works", False, str(error))
    wrong = [
        f"{work.kind} {address[:12]} is not what its address says"
        for address, work in works.items()
        if hashlib.sha256(work.definition.encode()).hexdigest() != address
        or [json_object(work.definition, run.path).get(k) for k in ("kind", "version")]
        != [work.kind, work.version]
    ]
    wrong += [f"{a.path} belongs to no work" for a in artifacts if a.address not in works]
    return Check("works", not wrong, "; ".join(wrong[:3]) or f"{len(works)} are stored")


class _Files:
    """Takes what a report writes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write_file(self, name: str, data: bytes, *, durable: bool = True) -> Path:
        self.files[name] = data
        return Path(name)


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
            options.say(f"taken over from {taken.run}: {_listed(taken.works)}")
        else:
            options.say(f"{taken.run} holds nothing that is still to be done")
    sent = sum(work.cost.queries for a, work in run.works().items() if a in plan)
    meter = Meter(options.progress, options.should_stop, run.seconds(), sent)
    results, reason = Results(run, plan), ""
    try:
        try:
            run_plan(
                plan,
                run,
                meter,
                command=run.manifest.get("command"),
                executor=options.executor,
                at_once=options.at_once,
                spending=made.spending(run),
                engines=made.engines,
            )
        except BudgetError:
            if not made.partial:
                raise
            reason = "budget"
        run.set_meta({"seconds": repr(meter.seconds), "stop_reason": reason})
        meter.begin("report", 0)
        report = made.report(results, run.manifest)
        report.write(run)
    except StoreError:
        raise
    except EvofoolError as error:
        interrupted = isinstance(error, Interrupted)
        run.set_meta({"status": "interrupted" if interrupted else "failed"})
        if interrupted and made.partial and options.draw_when_stopped:
            report = made.report(results, run.manifest)
            report.write(run)
            return Result(run.path, report.summary or {})
        # whoever waits for the error of a net or a config gets it, whatever stood on that work
        first = error.__cause__ if isinstance(error, WorksFailedError) else error
        raise (type(first) if isinstance(first, EvofoolError) else type(error))(
            f"{'stopped' if interrupted else error}; what is done is saved; go on with: evofool"
            f" resume {run.path}"
        ) from error
    run.set_meta({"status": "finished"})
    return Result(run.path, report.summary or {})


def _finished(study: type[Study[Any]], run: ExperimentFolder) -> tuple[Study[Any], Results]:
    loaded = _load_moved(study, run, None)
    made = study.restored(loaded, run, _edited_keys(study, run, loaded.config))
    results = Results(run, made.plan)
    missing = [p.title for p in made.plan if not results.is_finished(p.work)]
    if missing and not made.partial:
        raise FolderError(
            f"{run.path}: cannot be drawn yet, {_listed(missing)} not done; go on with"
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


# what a run was begun with, and what was changed since


def _begun_with(made: Study[Any]) -> dict[str, Any]:
    config = made.loaded.config
    return {
        "config": fixed_part(config, made.changeable),
        "code": code_of(config),
        **made.described(),
    }


def _book_probe(made: Study[Any], run: ExperimentFolder, charged: int) -> None:
    """Book the pictures that the victim was sent when it was loaded, `charged` of them before."""
    if made.victim is not None and made.victim.probed != charged:
        run.bookings.add({Heading.PROBE: made.victim.probed - charged})


def _differences(
    study: type[Study[Any]] | Study[Any], run: ExperimentFolder, config: BaseModel
) -> list[tuple[str, Any, Any]]:
    """Keys of the config that are not what the manifest says, with both values."""
    entry = run.manifest.get("config")
    before = entry.get("fixed") if isinstance(entry, dict) else None
    now = fixed_part(config, study.changeable)["fixed"]
    return list(differences(before or {}, now))


def _edited(
    study: type[Study[Any]] | Study[Any], run: ExperimentFolder, config: BaseModel
) -> list[str]:
    return [
        f"{key} was {json.dumps(old)} and is {json.dumps(new)}"
        for key, old, new in _differences(study, run, config)
    ]


def _edited_keys(study: type[Study[Any]], run: ExperimentFolder, config: BaseModel) -> list[str]:
    return [key for key, _, _ in _differences(study, run, config)]


def _record_changes(run: ExperimentFolder, made: Study[Any]) -> list[str] | None:
    """Write an edited config into the manifest; the keys that changed, None if none did."""
    config = made.loaded.config
    edited = _edited(made, run, config)
    if not edited:
        return None
    fresh = new_manifest(made.kind, made.victim, config.seed, None)
    changed = {key: [old, new] for key, old, new in _differences(made, run, config)}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    change = {"at": at, "command": f"evofool resume {run.path}", "set": changed}
    run.write_manifest(
        {
            **run.manifest,
            **({"classifier": fresh["classifier"]} if "classifier" in fresh else {}),
            **_begun_with(made),
            "seed": config.seed,
            "changes": [*run.manifest.get("changes", ()), change],
        }
    )
    run.write_config(to_yaml(config))
    return edited


def _record_changeable(run: ExperimentFolder, made: Study[Any], before: BaseModel) -> None:
    """Write down what a resume has changed without changing the plan, if anything."""
    after = made.loaded.config
    manifest = with_changes(run, before, after, made.changeable)
    if manifest is None:
        return
    if made.victim is not None:
        manifest = repointed(manifest, made.victim)
    if "code" in manifest:
        manifest["code"] = {**manifest["code"], **code_of(after)}
    run.write_manifest(manifest)  # first: what happened is never missing from it
    run.write_config(to_yaml(after))


def _change_of_plan(run: ExperimentFolder, plan: Plan, edited: Sequence[str]) -> str:
    """Which works are kept, new, and no longer used."""
    before = _planned(run)
    works = run.works()
    kept = [p.title for p in plan if p.work.address in works]
    new = [p.title for p in plan if p.work.address not in works]
    unused = [title for a, title in before.items() if a not in plan and a in works]
    return "\n".join(
        (
            f"config.yaml was edited: {'; '.join(edited)}",
            f"kept: {_listed(kept)}",
            f"new: {_listed(new)}",
            f"no longer used: {_listed(unused)}",
        )
    )


def _planned(run: ExperimentFolder) -> dict[str, str]:
    """Title by address of the works of the plan that was last run.

    Raises:
        StoreError: damaged.
    """
    text = run.meta().get("plan", "[]")
    entries = json_object(f'{{"plan": {text}}}', run.path)["plan"]
    if not isinstance(entries, list) or not all(
        isinstance(e, list) and len(e) == 2 and all(isinstance(t, str) for t in e) for e in entries
    ):
        raise StoreError(f"{run.path}: its plan is damaged")
    return dict(entries)


def _listed(titles: Sequence[str]) -> str:
    more = f" and {len(titles) - _SHOWN} more" if len(titles) > _SHOWN else ""
    return (", ".join(titles[:_SHOWN]) or "nothing") + more
