"""A comparison of methods on nets: its plan, and what a dry run tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evofool.classifiers import Classifier
from evofool.classifiers.base import short_name
from evofool.config import Loaded
from evofool.data import inspect_dataset, load_dataset
from evofool.errors import DataError
from evofool.experiments.checked import inspected, loaded_net
from evofool.experiments.compare.config import CompareConfig, resolve
from evofool.experiments.compare.searches import (
    LEAST_SHARE,
    Arm,
    Compared,
    LeftOut,
    arm,
    check_method,
)
from evofool.experiments.engine import Plan, Results
from evofool.experiments.engine.study import Study
from evofool.experiments.works.pictures import Pictures
from evofool.report.output import Report


class CompareStudy(Study[CompareConfig]):
    """Evolution, gradients, queries and chance at the same cost."""

    kind = "compare"
    config = CompareConfig
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Loaded[CompareConfig], compared: Compared) -> None:
        self.compared = compared
        super().__init__(loaded, Plan([p for arm in compared.arms for p in arm.planned()]))

    @classmethod
    def make(cls, loaded: Loaded[CompareConfig]) -> CompareStudy:
        config = loaded.config
        for index in range(len(config.methods)):
            check_method(loaded, index)
        scoring = config.scoring.resolved()
        arms: list[Arm] = []
        left_out: list[LeftOut] = []
        labels: dict[str, tuple[str, ...]] = {}
        for number, spec in enumerate(config.victims):
            net = loaded_net(loaded, ("victims", number), spec)
            name = short_name(net.name)
            if name in labels:
                raise loaded.error_at(
                    ("victims", number), f"two nets are called {name}; name each once"
                )
            classes = min(config.classes or net.n_classes, net.n_classes)
            _check_share(loaded, name, classes, net.passes)
            labels[name] = tuple(net.labels[:classes])
            pictures = _natural(loaded, net)
            for index in range(len(config.methods)):
                made = arm(
                    loaded, index, net, spec.model_dump(exclude_none=True), scoring, pictures
                )
                if isinstance(made, Arm):
                    arms.append(made)
                else:
                    left_out.append(made)
        if not arms:
            reasons = "; ".join(f"{each.method}: {each.reason}" for each in left_out[:3])
            raise loaded.error_at("methods", f"none can be run ({reasons})")
        return cls(loaded, Compared(config, tuple(arms), tuple(left_out), labels))

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.compare.report import report  # which imports matplotlib

        return report(self.compared, results, manifest)


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


def plan(loaded: Loaded[CompareConfig]) -> ComparePlan:
    """Check a config without running it.

    Raises:
        ConfigError: whatever can be known to be wrong without weights and data.
    """
    config = loaded.config
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
            f" classes of {name}; a method needs at least {LEAST_SHARE * passes} to take two steps"
            f" and to look at the result: raise it to {least}, or name fewer classes",
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
                f"the pictures of {data.name} have another shape than {net.name} takes"
            )
            continue
        # which class a picture is of does not matter: each is looked at for all
        by_split[split] = Pictures.of(data.images, np.full(len(data), -1, np.int64))
    return by_split
