"""From a config of kind retrain to nets and images, with every error at its place in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from evofool.classifiers import Classifier, Inspection
from evofool.config import Loaded, load_model
from evofool.data import DataSets, inspect_dataset
from evofool.errors import ConfigError, DataError
from evofool.experiments.checked import (
    check_encodings,
    check_images,
    check_like,
    classes_of,
    inspected,
    load_split,
    loaded_net,
)
from evofool.experiments.retrain.config import RetrainConfig, is_training
from evofool.experiments.works.pictures import Pictures
from evofool.randomness import Stream, generator
from evofool.training import TrainConfig
from evofool.training.plan import plan as plan_training

Config: TypeAlias = Loaded[RetrainConfig]


@dataclass(frozen=True)
class RetrainPlan:
    """The result of a dry run: what would be run, and what is missing for it.

    Attributes:
        config: checked.
        classifier: the base, and what is missing to run it; None if it is trained first.
        evolutions: runs of evolution.
        evolved: images that these score.
        trainings: nets that are retrained.
        missing: what else is not on this machine, and how to get it.
    """

    config: RetrainConfig
    classifier: Inspection | None
    evolutions: int
    evolved: int
    trainings: int
    missing: tuple[str, ...]


def plan(loaded: Config) -> RetrainPlan:
    """Check a config without running it.

    Raises:
        ConfigError: whatever can be known to be wrong without weights and data.
    """
    config = loaded.config
    missing: list[str] = []
    base = None
    if is_training(config.base.name):
        missing += plan_training(load_base_training(loaded), None, Path()).missing
    else:
        base = inspected(loaded, ("base",), config.base)
    for index, other in enumerate(config.others):
        known = inspected(loaded, ("others", index), other)
        if not known.ready:
            missing.append(known.missing)
    try:
        data = inspect_dataset(config.data.dataset)
    except DataError as error:
        raise loaded.error_at("data.dataset", str(error)) from error
    for key in ("split", "train"):
        if getattr(config.data, key) not in data.splits:
            raise loaded.error_at(
                f"data.{key}",
                f"{data.name} has no split {getattr(config.data, key)}, only"
                f" {', '.join(data.splits)}",
            )
    if not data.present:
        missing.append(data.missing)
    check_encodings(loaded)
    e = config.evolution
    chains = len(config.trained_on) * len(e.seeds)
    runs = len(e.encodings) * (len(e.seeds) + config.rounds * chains)
    evolved = runs * (e.initial + e.generations * e.children)
    return RetrainPlan(
        config, base, runs, evolved, config.rounds * chains, tuple(dict.fromkeys(missing))
    )


def load_base_training(loaded: Config) -> Loaded[TrainConfig]:
    """The training config that `base` names.

    Raises:
        ConfigError: at its place.
    """
    try:
        return load_model(loaded.config.base.name, TrainConfig)
    except ConfigError as error:
        raise loaded.error_at("base", str(error)) from error


def make_others(loaded: Config, base: Classifier) -> tuple[Classifier, ...]:
    """The nets that champions are shown to.

    Raises:
        ConfigError: one cannot be had, or has other labels or another input than `base`.
    """
    nets = []
    for index, spec in enumerate(loaded.config.others):
        net = loaded_net(loaded, ("others", index), spec)
        check_like(loaded, ("others", index), net, base)
        nets.append(net)
    return tuple(nets)


def make_examples(loaded: Config, base: Classifier, sets: DataSets) -> tuple[Pictures, Pictures]:
    """What nets are retrained on, and what their clean errors are measured on.

    Raises:
        ConfigError: the data set is missing or damaged, or its images or classes are not the net's.
    """
    wanted = loaded.config.data
    train = _examples(loaded, base, "train", wanted.train_limit, 0, sets)
    return train, _examples(loaded, base, "split", wanted.limit, 1, sets)


def _examples(
    loaded: Config, base: Classifier, key: str, limit: int | None, draw: int, sets: DataSets
) -> Pictures:
    data = load_split(loaded, getattr(loaded.config.data, key), sets, f"data.{key}")
    check_images(loaded, data, base)
    labels = classes_of(loaded, data, base)
    if len(data.label_names) != base.n_classes:
        extra = next(name for name in base.labels if name not in data.label_names)
        raise loaded.error_at(
            "data.dataset",
            f"{base.name} has {base.n_classes} classes, {data.name} only"
            f" {len(data.label_names)} (it lacks {extra[:40]!r}); name the data set that the net"
            " was trained on",
        )
    if limit is None or limit >= len(data):
        return Pictures.of(data.images, labels)
    order = generator(loaded.config.seed, Stream.CHOICE, draw, 0).permutation(len(data))
    chosen = np.sort(order[:limit])
    return Pictures.of(data.images[chosen], labels[chosen])


def by_name(nets: Sequence[Classifier]) -> dict[str, Classifier]:
    """Nets by a short name: a weights file's own, as long as no other has the same."""
    short = [Path(n.name).stem if n.name.endswith(".safetensors") else n.name for n in nets]
    return {
        name if short.count(name) == 1 else net.name: net
        for name, net in zip(short, nets, strict=True)
    }
