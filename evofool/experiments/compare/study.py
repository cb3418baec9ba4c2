"""A comparison of methods on nets: its plan, and what a dry run tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evofool.classifiers import Classifier
from evofool.config import Loaded, load_model
from evofool.config.document import load_yaml
from evofool.config.loading import find, validate, with_seed
from evofool.data import inspect_dataset, load_dataset
from evofool.errors import DataError
from evofool.experiments.checked import inspected, loaded_net, told_apart
from evofool.experiments.compare.config import CompareConfig, resolve
from evofool.experiments.compare.held_against import elsewhere, nearest
from evofool.experiments.compare.passes import TimedPasses, machine_of, this_machine
from evofool.experiments.compare.saved import check_pictures
from evofool.experiments.compare.searches import (
    LEAST_SHARE,
    Arm,
    Compared,
    LeftOut,
    arm,
    check_method,
)
from evofool.experiments.compare.stored.config import RunsConfig, names_runs, resolve_runs
from evofool.experiments.compare.stored.entry import described
from evofool.experiments.compare.stored.study import compared, compared_again
from evofool.experiments.engine import Plan, Planned, Results
from evofool.experiments.engine.study import Study
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures
from evofool.report.output import Report
from evofool.store import Check
from evofool.store.experiment import ExperimentFolder


class CompareStudy(Study[CompareConfig]):
    """Evolution, gradients, queries and chance at the same cost."""

    kind = "compare"
    config = CompareConfig
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Loaded[CompareConfig], compared: Compared) -> None:
        self.compared = compared
        searches = [planned for arm in compared.arms for planned in arm.planned()]
        timed = [
            Planned(f"forward and backward passes, {net}", work)
            for net, work in compared.passes.items()
        ]
        measures = [measure.planned() for measure in compared.measures]
        super().__init__(loaded, Plan([*searches, *measures, *timed]))

    @classmethod
    def load(
        cls,
        source: Any,
        overrides: Sequence[str] = (),
        seed: int | None = None,
        check_files: bool = True,
    ) -> Loaded[Any]:
        if not _of_runs(source):
            return super().load(source, overrides, seed, check_files)
        document = load_model(source, RunsConfig, overrides).document
        document = resolve_runs(with_seed(document, seed))
        return Loaded(validate(document, RunsConfig), document)

    @classmethod
    def make(cls, loaded: Loaded[Any]) -> CompareStudy:
        if isinstance(loaded.config, RunsConfig):
            return cls(loaded, compared(loaded))
        return cls._of_methods(loaded)

    @classmethod
    def restored(
        cls, loaded: Loaded[Any], run: ExperimentFolder, edited: Sequence[str]
    ) -> CompareStudy:
        if isinstance(loaded.config, RunsConfig) and not edited:
            return cls(loaded, compared_again(loaded, run))
        if isinstance(loaded.config, RunsConfig):
            return cls.make(loaded)
        return cls._of_methods(loaded, machine_of(run))

    @classmethod
    def _of_methods(cls, loaded: Loaded[CompareConfig], machine: str | None = None) -> CompareStudy:
        """The study of methods that are run; `machine` is where passes were timed already."""
        config = loaded.config
        for index in range(len(config.methods)):
            check_method(loaded, index)
        scoring = config.scoring.resolved()
        arms: list[Arm] = []
        left_out: list[LeftOut] = []
        labels: dict[str, tuple[str, ...]] = {}
        passes: dict[str, TimedPasses] = {}
        nets: dict[str, Classifier] = {}
        loaded_nets = [
            loaded_net(loaded, ("victims", number), spec)
            for number, spec in enumerate(config.victims)
        ]
        called = told_apart(loaded_nets)
        for number, (spec, net, name) in enumerate(
            zip(config.victims, loaded_nets, called, strict=True)
        ):
            if name in labels:
                raise loaded.error_at(
                    ("victims", number), f"two nets are called {name}; name each once"
                )
            classes = min(config.classes or net.n_classes, net.n_classes)
            _check_share(loaded, name, classes, net.passes)
            labels[name] = tuple(net.labels[:classes])
            if net.white_box:
                given = GivenNet.of(net, spec.model_dump(exclude_none=True))
                passes[name] = TimedPasses(given, scoring, machine or this_machine())
            nets[name] = net
            pictures = _natural(loaded, net)
            for index in range(len(config.methods)):
                given = GivenNet.of(net, spec.model_dump(exclude_none=True))
                made = arm(loaded, index, name, given, scoring, pictures)
                if isinstance(made, Arm):
                    arms.append(made)
                else:
                    left_out.append(made)
        if not arms:
            reasons = "; ".join(f"{each.method}: {each.reason}" for each in left_out[:3])
            raise loaded.error_at("methods", f"none can be run ({reasons})")
        near, without = nearest(loaded, arms, nets)
        shown, not_shown = elsewhere(loaded, arms, nets, labels, scoring)
        return cls(
            loaded,
            Compared(
                config,
                tuple(arms),
                (*left_out, *without, *not_shown),
                labels,
                (*near, *shown),
                passes=passes,
            ),
        )

    def described(self) -> dict[str, Any]:
        return described(self.compared)

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.compare.report import report  # which imports matplotlib

        return report(self.compared, results, manifest)

    def checks(self, results: Results, engine: str | None) -> Iterator[Check]:
        yield from super().checks(results, engine)
        if results.folder.meta().get("status") == "finished":
            yield check_pictures(self.compared, results)


def _of_runs(source: Any) -> bool:
    """Whether a config is about run folders that are there already."""
    if isinstance(source, RunsConfig | CompareConfig):
        return isinstance(source, RunsConfig)
    return names_runs(source if isinstance(source, Mapping) else load_yaml(find(source)).data)


@dataclass(frozen=True)
class ComparePlan:
    """What a dry run finds out.

    Attributes:
        config: checked.
        searches: methods x nets x seeds.
        images: forward-equivalents over all of them.
        missing: what is not on this machine, and how to get it.
    """

    config: CompareConfig
    searches: int
    images: int
    missing: Sequence[str]


def plan(loaded: Loaded[Any]) -> ComparePlan | CompareStudy:
    """Check a config without running it; of run folders, what would be compared.

    Raises:
        ConfigError: whatever can be known to be wrong without weights and data.
    """
    if isinstance(loaded.config, RunsConfig):
        return CompareStudy.make(loaded)
    config: CompareConfig = loaded.config
    for index in range(len(config.methods)):
        check_method(loaded, index)
    missing = []
    for number, spec in enumerate(config.victims):
        victim = inspected(loaded, ("victims", number), spec)
        if victim.n_classes is not None:
            classes = min(config.classes or victim.n_classes, victim.n_classes)
            _check_share(loaded, victim.name, classes, spec.passes)
        if not victim.ready:
            missing.append(victim.missing)
    if config.data is not None:
        try:
            data = inspect_dataset(config.data)
        except DataError as error:
            raise loaded.error_at("data", str(error)) from error
        if not data.present and any(method.pictures for method in config.methods):
            missing.append(f"natural pictures are left out: {data.missing}")
    for number, spec in enumerate(config.transfer):
        target = inspected(loaded, ("transfer", number), spec)
        if not target.ready:
            missing.append(target.missing)
    searches = len(config.victims) * len(config.methods) * len(config.seeds)
    return ComparePlan(config, searches, searches * config.budget, missing)


def _check_share(loaded: Loaded[CompareConfig], name: str, classes: int, passes: int) -> None:
    """Refuse a budget that buys nothing."""
    least = LEAST_SHARE * classes * passes
    if loaded.config.budget < least:
        share = loaded.config.budget // classes
        raise loaded.error_at(
            "budget",
            f"{loaded.config.budget} forward-equivalents are {share} for each of the {classes}"
            f" classes of {name}, but a method needs at least {LEAST_SHARE * passes} to take two"
            f" steps and score the result: raise it to {least}, or name fewer classes",
        )


def _natural(loaded: Loaded[CompareConfig], net: Classifier) -> dict[str, Pictures | str]:
    """Natural pictures of every split that a method names, or why there are none."""
    by_split: dict[str, Pictures | str] = {}
    for split in {m.pictures for m in loaded.config.methods if m.pictures is not None}:
        if loaded.config.data is None:
            by_split[split] = "the config names no data set (data)"
            continue
        try:
            data = load_dataset(loaded.config.data, split)
        except DataError as error:
            by_split[split] = str(error)
            continue
        if data.shape != net.input_shape:
            by_split[split] = (
                f"the pictures of {data.name} do not have the shape that {net.name} takes"
            )
            continue
        # which class a picture is of does not matter: each is looked at for all
        by_split[split] = Pictures.of(data.images, np.full(len(data), -1, np.int64))
    return by_split
