"""From a config of kind defend to nets and pictures, with every error at its place in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from evofool.classifiers import Classifier, Inspection
from evofool.config import ClassifierConfig, Loaded, load_model
from evofool.data import DataSets, inspect_dataset
from evofool.errors import ConfigError, DataError
from evofool.experiments.checked import (
    check_encodings,
    check_images,
    check_like,
    check_white,
    classes_of,
    inspected,
    load_split,
    loaded_net,
)
from evofool.experiments.defend.config import DefendConfig
from evofool.experiments.works.campaign import evaluations_of
from evofool.experiments.works.pictures import Pictures
from evofool.randomness import Stream, generator
from evofool.training import TrainConfig
from evofool.training.plan import plan as plan_training
from evofool.validation import KeyPath

Config: TypeAlias = Loaded[DefendConfig]
CONTROL = "none"
"""The name of no defense at all."""


@dataclass(frozen=True)
class DefendPlan:
    """The result of a dry run: what would be run, and what is missing for it.

    Attributes:
        config: checked.
        classifier: the base, and what is missing to run it.
        images: how many are attacked, None where that cannot be known without the data.
        evolved: images that evolution scores, over both nets.
        missing: what else is not on this machine, and how to get it.
    """

    config: DefendConfig
    classifier: Inspection
    images: int | None
    evolved: int
    missing: tuple[str, ...]


def plan(loaded: Config) -> DefendPlan:
    """Check a config without running it.

    Raises:
        ConfigError: whatever can be known to be wrong without weights and data.
    """
    config, defense = loaded.config, loaded.config.defense
    base = inspected(loaded, ("base",), config.base, check_white)
    missing = []
    named: list[tuple[KeyPath, tuple[ClassifierConfig, ...]]] = [
        (("sources",), config.sources or ()),
        (("defense", "sources"), getattr(defense, "sources", None) or ()),
    ]
    for section, sources in named:
        for index, source in enumerate(sources):
            inspection = inspected(loaded, (*section, index), source)
            if not inspection.ready:
                missing.append(inspection.missing)
    try:
        data = inspect_dataset(config.data.dataset)
    except DataError as error:
        raise loaded.error_at("data.dataset", str(error)) from error
    if config.data.split not in data.splits:
        raise loaded.error_at(
            "data.split", f"{data.name} has no split {config.data.split}, only"
            f" {', '.join(data.splits)}"
        )  # fmt: skip
    if not data.present:
        missing.append(data.missing)
    if getattr(defense, "train", None) is not None:
        missing += plan_training(load_training(loaded), None, Path()).missing
    check_encodings(loaded)
    evolved = 0
    if (e := config.evolution) is not None:
        nets = 1 if defense.name == CONTROL else 2
        evolved = nets * len(e.encodings) * len(e.seeds) * evaluations_of(e)
    return DefendPlan(
        config, base, config.data.limit, evolved, tuple(dict.fromkeys(missing))
    )  # fmt: skip


def load_training(loaded: Config) -> Loaded[TrainConfig]:
    """The training config that a defense names."""
    try:
        return load_model(str(getattr(loaded.config.defense, "train", "")), TrainConfig)
    except ConfigError as error:
        raise loaded.error_at("defense.train", str(error)) from error


def make_base(loaded: Config) -> Classifier:
    """The undefended net.

    Raises:
        ConfigError: it cannot be had, or cannot be judged: a black box, or averaged crops.
    """
    base = loaded_net(loaded, ("base",), loaded.config.base)
    check_white(loaded, ("base",), base)
    return base


def load_sources(
    loaded: Config,
    section: KeyPath,
    written: tuple[ClassifierConfig, ...] | None,
    base: Classifier,
) -> tuple[Classifier, ...]:
    """The nets that `section` names, held against `base`; that alone where nothing is written.

    Raises:
        ConfigError: one is a black box, or has other labels or another input than `base`.
    """
    if written is None:
        return (base,)
    sources = []
    for index, spec in enumerate(written):
        where: KeyPath = (*section, index)
        source = loaded_net(loaded, where, spec)
        check_white(loaded, where, source)
        check_like(loaded, where, source, base)
        sources.append(source)
    return tuple(sources)


def load_pictures(loaded: Config, base: Classifier, sets: DataSets) -> tuple[Pictures, Pictures]:
    """The pictures that are attacked, and others, whose classes are given as -1.

    Raises:
        ConfigError: the data set is missing or damaged, or its images or classes are not the net's.
    """
    config = loaded.config
    wanted = config.data
    data = load_split(loaded, wanted.split, sets)
    check_images(loaded, data, base)
    labels = classes_of(loaded, data, base)
    order = generator(config.seed, Stream.CHOICE, 0, 0).permutation(len(data))
    count = len(data) if wanted.limit is None else min(wanted.limit, len(data))
    chosen = order[:count]
    if has_training_split(loaded):
        others = load_split(loaded, "train", sets).images
        order = generator(config.seed, Stream.CHOICE, 1, 0).permutation(len(others))
        start = others[order[: wanted.start]]
    else:
        start = data.images[order[count : count + wanted.start]]
    if not len(start):
        raise loaded.error_at(
            "data.limit",
            f"all {len(data)} images are attacked, and there is no training split, so none is"
            " left to start a substitute from; lower it",
        )
    if not count:
        raise loaded.error_at("data.limit", "a threat matrix needs at least one image")
    attacked = Pictures.of(data.images[chosen], labels[chosen])
    return attacked, Pictures.of(start, np.full(len(start), -1, np.int64))


def denoiser_pictures(loaded: Config, base: Classifier, count: int, sets: DataSets) -> Pictures:
    """Clean pictures to train on: of the training split, else of what is not attacked.

    Raises:
        ConfigError: there are none.
    """
    wanted, seed = loaded.config.data, loaded.config.seed
    apart = has_training_split(loaded)
    data = load_split(loaded, "train" if apart else wanted.split, sets)
    if apart:
        order = generator(seed, Stream.CHOICE, 2, 0).permutation(len(data))[:count]
    else:
        # the order in which the attacked ones were chosen, which are the first of it
        order = generator(seed, Stream.CHOICE, 0, 0).permutation(len(data))
        order = order[wanted.limit or len(order) :][:count]
    if len(order) < 2:
        raise loaded.error_at(
            "data.limit", "leaves no pictures to train a denoiser on; lower it"
        )  # fmt: skip
    return Pictures.of(data.images[order], classes_of(loaded, data, base)[order])


def has_training_split(loaded: Config) -> bool:
    """Whether there is a training split apart from what is attacked."""
    wanted = loaded.config.data
    return wanted.split != "train" and "train" in inspect_dataset(wanted.dataset).splits
