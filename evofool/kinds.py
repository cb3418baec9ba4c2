"""The kinds of run: each is declared once, here or by a package that is installed.

A `Kind` names everything that commands need as ``module:attribute``, imported when it is wanted,
so that this list costs nothing to read and lies below all that it names. Another package adds a
kind by an entry point of group ``evofool.kinds``, whose name is that of the kind::

    [project.entry-points."evofool.kinds"]
    survey = "my_package.survey:KIND"
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from evofool.errors import EvofoolError, KindError
from evofool.text import suggestion

GROUP = "evofool.kinds"
RUN = "run"
"""The command that takes configs of every kind."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of config, and of run folder where it makes one.

    Every text called a reference is ``module:attribute``; `part` imports it. Those of a run folder
    are empty where a kind has none, and `part` then says so.

    Attributes:
        name: as configs and manifests write it: ``kind: NAME``.
        about: what a run of it is, in a few words: ``the evaluation of a defense``.
        command: that is for configs of this kind; ``run`` takes every kind.
        made_by: the command that makes its runs without a config, where there is one.
        keys: of a config that no other kind has: by them one without ``kind`` is recognised.
        study: reference to the `evofool.experiments.engine.Study` that it is; all further
            references may then be left out.
        model: reference to the pydantic model of its configs, whose field ``kind`` has `name` as
            its default.
        load: reference to ``(source, overrides, seed) -> Loaded``.
        plan: reference to ``(loaded) -> plan``, which runs nothing and raises ``ConfigError``.
        plan_lines: reference to ``(plan) -> list[str]``, what a dry run prints.
        run: reference to ``(loaded, out, *, command, progress, should_stop) -> Result``.
        result_lines: reference to ``(result, pages) -> list[str]``, what a run prints at its end;
            `pages` are the paths of the gallery that was made of it, empty without `reader`.
        progress: reference to a function without arguments that gives ``(event) -> (line, share
            done or None)`` for what `run` and `resume` report.
        begins: what is shown before the first of these.
        out: folder that `run` writes to by default; empty: ``runs/NAME``, the first that is free.
        resume: reference to ``(path, *, classifier, encoding, overrides, progress, should_stop) ->
            Result``.
        status: reference to ``(path) -> dict``: JSON values, the first those of
            `evofool.store.head_of`.
        verify: reference to ``(path, *, classifier, encoding) -> Iterator[Check]``; with
            `one_victim` it takes ``engine`` as well.
        one_victim: whether a run is about one classifier: `resume` and `verify` can be given it as
            a Python object, and `verify` the engine that scores again.
        is_result: reference to ``(path) -> bool``, for a kind whose results are no run folder but
            can be verified.
        folder: reference to the `CampaignFolder` class that opens its folders.
        manifest: reference to the pydantic model of what ``manifest.json`` must hold.
        tables: reference to its tables: the ``CREATE`` statements by name.
        schema_version: of `tables`, counted up with every change of them.
        reader: reference to ``(run, key, *, write, moved) -> Collection``, for a gallery.
        most_shown: pictures of the gallery that a run ends with; None: all.
        page: of its own in the run folder, for a kind without `reader`.
        results: reference to the `evofool.experiments.results.Run` class that its runs return.
    """

    name: str
    about: str
    command: str = RUN
    made_by: str = ""
    keys: frozenset[str] = frozenset()

    study: str = ""
    model: str = ""
    load: str = ""
    plan: str = ""
    plan_lines: str = ""
    run: str = ""
    result_lines: str = ""
    progress: str = ""
    begins: str = "loading the nets and the data"
    out: str = ""

    resume: str = ""
    status: str = ""
    verify: str = ""
    one_victim: bool = False
    is_result: str = ""

    folder: str = ""
    manifest: str = ""
    tables: str = ""
    schema_version: int = 1

    reader: str = ""
    most_shown: int | None = None
    page: str = ""
    results: str = ""

    def __post_init__(self) -> None:
        if self.study:
            for name, usual in _WITH_STUDY.items():
                object.__setattr__(self, name, getattr(self, name) or usual)

    def references(self) -> Mapping[str, str]:
        """The references that are not empty, by name of the attribute."""
        return {name: getattr(self, name) for name in _REFERENCES if getattr(self, name)}

    def part(self, name: str) -> Any:
        """What the reference `name`, such as ``run``, leads to.

        Raises:
            KindError: this kind has none, or it cannot be imported.
        """
        reference = getattr(self, name)
        if not reference and self.study and name in _OF_STUDIES:
            return getattr(self.part("study"), _OF_STUDIES[name])
        if not reference and self.study and name in _LIFE:
            life = imported(f"evofool.experiments.engine.life:{_LIFE[name]}", f"kind {self.name}")
            return partial(life, self.part("study"))
        if not reference:
            raise KindError(f"a run of kind {self.name} has no {name.replace('_', ' ')}")
        return imported(reference, f"kind {self.name}: {name}")


_REFERENCES = (
    "study", "model", "load", "plan", "plan_lines", "run", "result_lines", "progress", "resume",
    "status", "verify", "is_result", "folder", "manifest", "tables", "reader", "results",
)  # fmt: skip
"""Attributes of `Kind` that are references."""

_OF_STUDIES: Mapping[str, str] = MappingProxyType(
    {
        "model": "config",
        "plan": "make",
        **{name: name for name in ("load", "plan_lines", "result_lines")},
    }
)
"""Attributes of a study that are named for the references of a kind that are left out."""
_LIFE: Mapping[str, str] = MappingProxyType(
    {"run": "begin", **{name: name for name in ("resume", "status", "verify")}}
)
"""Functions of a study that stand for others."""
_WITH_STUDY: Mapping[str, str] = MappingProxyType(
    {
        "progress": "evofool.experiments.engine.lines:progress",
        "folder": "evofool.store:ExperimentFolder",
        "manifest": "evofool.store.manifest:RunManifest",
        "tables": "evofool.store.records.works:EXPERIMENT_TABLES",
        "page": "report/index.html",
    }
)
"""What a kind with a study has unless it says otherwise."""

_OWN_TABLES = "evofool.store.records.lineage:TABLES"

BUILT_IN: tuple[Kind, ...] = (
    Kind(
        name="evolve",
        results="evofool.experiments.results:EvolveRun",
        about="a campaign of evolution",
        command="evolve",
        keys=frozenset(("encoding", "stop")),
        model="evofool.config:Campaign",
        load="evofool.config:load_campaign",
        plan="evofool.evolution.setup:plan",
        plan_lines="evofool.evolution.lines:plan_lines",
        run="evofool.evolution.campaign:evolve",
        result_lines="evofool.evolution.lines:result_lines",
        progress="evofool.evolution.lines:progress",
        begins="loading the classifier; a first start also compiles what draws pictures",
        resume="evofool.evolution.campaign:resume",
        status="evofool.evolution.status:status",
        verify="evofool.evolution.verify:verify",
        one_victim=True,
        folder="evofool.store:CampaignFolder",
        manifest="evofool.store.manifest:CampaignManifest",
        tables=_OWN_TABLES,
        reader="evofool.gallery.reading.campaigns:campaign",
    ),
    Kind(
        name="attack",
        results="evofool.experiments.results:AttackRun",
        about="a run of attacks",
        command="attack",
        keys=frozenset(("attacks", "only_correct", "targets", "chunk")),
        study="evofool.experiments.attack.study:AttackStudy",
        model="evofool.config:AttackCampaign",
        load="evofool.config:load_attacks",
        plan="evofool.experiments.attack.plan:plan",
        plan_lines="evofool.experiments.attack.lines:plan_lines",
        result_lines="evofool.experiments.attack.lines:result_lines",
        progress="evofool.experiments.attack.lines:progress",
        begins="loading the classifier",
        one_victim=True,
        manifest="evofool.store.manifest:ClassifierManifest",
        schema_version=2,
        reader="evofool.gallery.reading.attacked:attacked",
        most_shown=5000,
        page="gallery/index.html",
    ),
    Kind(
        name="defend",
        results="evofool.experiments.results:DefendRun",
        about="the evaluation of a defense",
        command="defend",
        keys=frozenset(("defense", "sources", "threats", "pictures")),
        study="evofool.experiments.defend.study:DefendStudy",
        model="evofool.experiments.defend.config:DefendConfig",
        plan="evofool.experiments.defend.setup:plan",
        plan_lines="evofool.experiments.defend.lines:plan_lines",
        result_lines="evofool.experiments.defend.lines:result_lines",
        manifest="evofool.store.manifest:ClassifierManifest",
        schema_version=2,
    ),
    Kind(
        name="retrain",
        results="evofool.experiments.results:RetrainRun",
        about="a retraining loop",
        command="defend",
        keys=frozenset(("rounds", "trained_on", "ascent", "others")),
        study="evofool.experiments.retrain.study:RetrainStudy",
        model="evofool.experiments.retrain.config:RetrainConfig",
        plan="evofool.experiments.retrain.setup:plan",
        plan_lines="evofool.experiments.retrain.lines:plan_lines",
        result_lines="evofool.experiments.retrain.lines:result_lines",
        manifest="evofool.store.manifest:ClassifierManifest",
        schema_version=2,
    ),
    Kind(
        name="costs",
        results="evofool.experiments.results:CostsRun",
        about="a comparison of cost functions",
        command="defend",
        keys=frozenset(("nets", "rubbish")),
        study="evofool.experiments.costs.study:CostsStudy",
        model="evofool.experiments.costs.config:CostsConfig",
        plan="evofool.experiments.costs.study:plan",
        plan_lines="evofool.experiments.costs.lines:plan_lines",
        result_lines="evofool.experiments.costs.lines:result_lines",
        schema_version=2,
    ),
    Kind(
        name="reproduce",
        made_by="reproduce",
        results="evofool.experiments.results:ReproduceRun",
        about="a test of claims of the literature",
        keys=frozenset(("claims", "scale")),
        study="evofool.experiments.reproduce.study:ReproduceStudy",
        plan="evofool.experiments.reproduce.study:plan",
        schema_version=2,
    ),
    Kind(
        name="compare",
        results="evofool.experiments.results:CompareRun",
        about="a comparison of methods",
        command="compare",
        keys=frozenset(("victims", "methods")),
        study="evofool.experiments.compare.study:CompareStudy",
        model="evofool.experiments.compare.config:CompareConfig",
        plan="evofool.experiments.compare.study:plan",
        plan_lines="evofool.experiments.compare.lines:plan_lines",
        result_lines="evofool.experiments.compare.lines:result_lines",
        schema_version=2,
    ),
    Kind(
        name="transfer",
        about="a transfer matrix",
        command="transfer",
        keys=frozenset(("noise",)),
        study="evofool.experiments.transfer.study:TransferStudy",
        model="evofool.experiments.transfer.config:TransferConfig",
        plan="evofool.experiments.transfer.study:plan",
        plan_lines="evofool.experiments.transfer.lines:plan_lines",
        result_lines="evofool.experiments.transfer.lines:result_lines",
        schema_version=2,
    ),
    Kind(
        name="explore",
        about="a closer look at what was evolved",
        keys=frozenset(
            ("repetition", "decision_map", "embedding", "source_target", "goal_switching")
        ),
        study="evofool.experiments.explore.study:ExploreStudy",
        model="evofool.experiments.explore.config:ExploreConfig",
        manifest="evofool.store.manifest:ClassifierManifest",
        schema_version=2,
    ),
    Kind(
        name="search",
        about="a comparison of search methods",
        keys=frozenset(("variants", "baseline", "medians")),
        study="evofool.experiments.search.study:SearchStudy",
        model="evofool.experiments.search.config:SearchConfig",
        schema_version=2,
    ),
    Kind(
        name="sweep",
        about="a sweep over a grid of runs",
        command="sweep",
        keys=frozenset(("base", "grid")),
        study="evofool.experiments.sweep.study:SweepStudy",
        model="evofool.experiments.sweep.config:SweepConfig",
    ),
    Kind(
        name="signs",
        about="traffic signs that are read as other signs",
        keys=frozenset(("held_back", "sides", "angles")),
        study="evofool.experiments.signs.study:SignsStudy",
        model="evofool.experiments.signs.config:SignsConfig",
        plan="evofool.experiments.signs.study:plan",
        plan_lines="evofool.experiments.signs.study:plan_lines",
        schema_version=2,
    ),
    Kind(
        name="train",
        about="the training of a classifier",
        command="train",
        keys=frozenset(("architecture", "dataset", "epochs", "optimiser", "adversary")),
        model="evofool.training:TrainConfig",
        load="evofool.training.config:load_training",
        plan="evofool.training.plan:plan",
        plan_lines="evofool.experiments.trained:plan_lines",
        run="evofool.experiments.trained:run_training",
        result_lines="evofool.experiments.trained:result_lines",
        progress="evofool.experiments.trained:progress",
        begins="loading the data",
        out="weights",
        is_result="evofool.experiments.training_verify:is_training",
        verify="evofool.experiments.trained:verify",
    ),
)
"""In the order in which they are listed."""
_BUILT_IN: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in BUILT_IN})


def names() -> tuple[str, ...]:
    """The names of all kinds, those of other packages behind ours; imports none of them."""
    return tuple(dict.fromkeys((*_BUILT_IN, *sorted(point.name for point in _points()))))


def find(name: str) -> Kind:
    """The kind called `name`.

    Raises:
        KindError: there is none, or the package that declares it is broken; the message says which.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    declarations = [point for point in _points() if point.name == name]
    if not declarations:
        raise KindError(unknown(name))
    if len(declarations) > 1:
        values = " and ".join(sorted(point.value for point in declarations))
        raise KindError(f"kind {name} is declared more than once, by {values}; uninstall one")
    return _declared(declarations[0])


def unknown(name: str) -> str:
    """The message that no kind is called `name`, with the one that was meant or all there are."""
    listed = names()
    mend = suggestion(name[:80], listed) or f"; there are {', '.join(listed)}"
    return f"no kind is called {name[:80]!r}{mend}"


def every() -> tuple[Kind, ...]:
    """All kinds, in the order of `names`; one whose package is broken is left out, with a warning.

    Of a name that is ours another package's declaration is never read.
    """
    kinds = list(BUILT_IN)
    for name in names()[len(BUILT_IN) :]:
        try:
            kinds.append(find(name))
        except KindError as error:
            logging.getLogger("evofool").warning("%s", error)
    return tuple(kinds)


def of_command(command: str) -> tuple[Kind, ...]:
    """The kinds whose configs `command` takes, its main one first."""
    if command == RUN:
        return every()
    return tuple(kind for kind in BUILT_IN if kind.command == command)


def imported(reference: str, what: str) -> Any:
    """What ``module:attribute`` leads to.

    Args:
        reference: to resolve.
        what: it is, for the message.

    Raises:
        KindError: it is no reference, its module fails to import, or has no such attribute.
    """
    if not _REFERENCE.fullmatch(reference):
        raise KindError(f"{what}: {reference[:80]!r} does not have the form module:attribute")
    module, _, attribute = reference.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except EvofoolError:
        raise
    except Exception as error:  # a third party's module may raise anything
        raise KindError(
            f"{what}: {reference} cannot be imported ({type(error).__name__}: {error})"
        ) from error


def _points() -> list[Any]:
    """The entry points of other packages, but for those that would take over a name of ours."""
    return [point for point in entry_points(group=GROUP) if point.name not in _BUILT_IN]


def _declared(point: Any) -> Kind:
    """The kind behind an entry point.

    Raises:
        KindError: it fails to import, or is no sound declaration.
    """
    where = f"entry point {point.name} = {point.value} of {GROUP}"
    try:
        kind = point.load()
    except Exception as error:  # the package is somebody else's: whatever it raises is its fault
        raise KindError(
            f"{where}: cannot be imported ({type(error).__name__}: {error}); repair or uninstall"
            " its package"
        ) from error
    fault = _fault(kind, point.name)
    if fault:
        raise KindError(f"{where}: {fault}")
    declared: Kind = kind
    return declared


def _fault(kind: object, name: str) -> str:
    """What is wrong with a declaration under `name`; empty where nothing is."""
    if not isinstance(kind, Kind):
        return f"is of type {type(kind).__name__}, not an evofool.kinds.Kind"
    if not _NAME.fullmatch(name):
        return "its name is not made of a-z, 0-9, - and _"
    if kind.name != name:
        return f"declares a kind called {kind.name!r}"
    if kind.command != RUN:
        return f"declares command {kind.command!r}; kinds of other packages use `evofool run`"
    for field in dataclasses.fields(kind):
        value = getattr(kind, field.name)
        if field.name in _REFERENCES and not isinstance(value, str):
            return f"{field.name} does not have the form module:attribute"
    if kind.folder and not (kind.manifest and kind.tables):
        return "has run folders, and so needs manifest and tables"
    if type(kind.schema_version) is not int or kind.schema_version < 1:
        return f"schema_version is {kind.schema_version!r}, not a whole number from 1 on"
    return ""
