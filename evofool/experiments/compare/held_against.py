"""From a config to the works that hold pictures against natural ones, and show them elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from evofool.classifiers import Classifier
from evofool.config import Loaded
from evofool.data import load_dataset
from evofool.data.base import Dataset
from evofool.errors import DataError
from evofool.experiments.checked import loaded_net, told_apart
from evofool.experiments.compare.config import CompareConfig
from evofool.experiments.compare.elsewhere import Elsewhere
from evofool.experiments.compare.searches import Arm, LeftOut, Measure
from evofool.experiments.engine.context import Scoring
from evofool.experiments.transfer.nets import MatrixNet, class_map
from evofool.experiments.works.nearest import Nearest
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures

DISTANCE = "distance to natural pictures"
"""What is left out where it cannot be measured."""


def nearest(
    loaded: Loaded[CompareConfig], arms: Sequence[Arm], nets: Mapping[str, Classifier]
) -> tuple[list[Measure], list[LeftOut]]:
    """How far the pictures of every method are from natural ones, where a data set is named.

    Args:
        loaded: the config.
        arms: all methods.
        nets: the victims by name.
    """
    name = loaded.config.data
    if name is None:
        return [], []
    try:
        data = _natural(name)
    except DataError as error:
        return [], [LeftOut(victim, DISTANCE, str(error)) for victim in nets]
    pictures = Pictures.of(data.images, np.full(len(data), -1, np.int64))
    measures: list[Measure] = []
    left_out: list[LeftOut] = []
    for victim, net in nets.items():
        if data.shape != net.input_shape:
            reason = f"the pictures of {data.name} do not have the shape that {net.name} takes"
            left_out.append(LeftOut(victim, DISTANCE, reason))
            continue
        given = GivenNet.of(net, {})
        measures += [
            Measure(arm, seed, Nearest(given, work, pictures))
            for arm in arms
            if arm.victim == victim
            for seed, work in arm.searches.items()
        ]
    return measures, left_out


def elsewhere(
    loaded: Loaded[CompareConfig],
    arms: Sequence[Arm],
    nets: Mapping[str, Classifier],
    labels: Mapping[str, Sequence[str]],
    scoring: Scoring,
) -> tuple[list[Measure], list[LeftOut]]:
    """The pictures of every method, shown to the nets of ``transfer``.

    Args:
        loaded: the config.
        arms: all methods.
        nets: the victims by name.
        labels: of the classes of each that are sought.
        scoring: how images are scored.

    Raises:
        ConfigError: such a net cannot be loaded, or is named twice.
    """
    measures: list[Measure] = []
    left_out: list[LeftOut] = []
    names: set[str] = set()
    targets = [
        loaded_net(loaded, ("transfer", number), spec)
        for number, spec in enumerate(loaded.config.transfer)
    ]
    for number, (target, name) in enumerate(zip(targets, told_apart(targets), strict=True)):
        where = ("transfer", number)
        if name in names:
            raise loaded.error_at(where, f"two nets are called {name}; name each once")
        names.add(name)
        shown_to = MatrixNet.of(target)
        own = scoring if target.white_box else replace(scoring, engine="auto")
        for victim, net in nets.items():
            what = f"transfer to {name}"
            if net.digest == target.digest:
                left_out.append(LeftOut(victim, what, "it is the same net"))
                continue
            if target.output == "label":
                reason = "the net gives only labels, no confidences"
                left_out.append(LeftOut(victim, what, reason))
                continue
            try:
                classes = class_map(MatrixNet.of(net), shown_to)
            except LookupError as error:
                left_out.append(LeftOut(victim, what, str(error)))
                continue
            measures += [
                Measure(
                    arm,
                    seed,
                    Elsewhere(
                        shown_to.net, work, classes[: len(labels[victim])], target.input_shape, own
                    ),
                    name,
                )
                for arm in arms
                if arm.victim == victim
                for seed, work in arm.searches.items()
            ]
    return measures, left_out


def _natural(name: str) -> Dataset:
    """The training split of a data set, or its test split where it has no other."""
    try:
        return load_dataset(name, "train")
    except DataError as error:
        if "no split" not in str(error):
            raise
        return load_dataset(name, "test")
