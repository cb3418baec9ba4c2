"""From a config of kind defend to nets and pictures, with every error at its place in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from evofool import encodings
from evofool.classifiers import Classifier, Inspection
from evofool.config import ClassifierConfig, Loaded, load_model
from evofool.config.document import KeyPath
from evofool.data import inspect_dataset
from evofool.defenses.victims import (
    DefenseConfig,
    DenoiserConfig,
    EnergyConfig,
    MaxSoftmaxConfig,
    VictimConfig,
    defend,
)
from evofool.errors import ConfigError, DataError, UsageError
from evofool.experiments.checked import (
    check_images,
    check_like,
    check_white,
    classes_of,
    inspected,
    load_split,
    loaded_net,
)
from evofool.experiments.defend_config import (
    FALSE_ALARMS,
    DefendConfig,
    DenoiserDefense,
    DetectorDefense,
    EnergyDefense,
    MaxSoftmaxDefense,
    NoDefenseConfig,
    TrainedDefense,
)
from evofool.experiments.threats import Ground, MakeScorer, Strength
from evofool.images import UInt8Images
from evofool.randomness import Stream, generator
from evofool.training import TrainConfig
from evofool.training.plan import plan as plan_training

Config: TypeAlias = Loaded[DefendConfig]


@dataclass(frozen=True)
class DefendPlan:
    """What a dry run finds out.

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
    config = loaded.config
    base = inspected(loaded, ("base",), config.base, check_white)
    missing = []
    for index, source in enumerate(config.sources or ()):
        found = inspected(loaded, ("sources", index), source)
        if not found.ready:
            missing.append(found.missing)
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
    if isinstance(config.defense, DenoiserDefense):
        for index, source in enumerate(config.defense.sources or ()):
            found = inspected(loaded, ("defense", "sources", index), source)
            if not found.ready:
                missing.append(found.missing)
    if isinstance(config.defense, TrainedDefense) and config.defense.train is not None:
        missing += plan_training(load_training(loaded), None, Path()).missing
    check_encodings(loaded)
    nets = 1 if isinstance(config.defense, NoDefenseConfig) else 2
    evolved = 0
    if (e := config.evolution) is not None:
        evolved = nets * len(e.encodings) * len(e.seeds) * (e.initial + e.generations * e.children)
    return DefendPlan(
        config, base, config.data.limit, evolved, tuple(dict.fromkeys(missing))
    )  # fmt: skip


def load_training(loaded: Config) -> Loaded[TrainConfig]:
    """The training config that a defense names."""
    defense = loaded.config.defense
    assert isinstance(defense, TrainedDefense)
    assert defense.train is not None
    try:
        return load_model(defense.train, TrainConfig)
    except ConfigError as error:
        raise loaded.error_at("defense.train", str(error)) from error


def check_encodings(loaded: Config) -> None:
    """Refuse encodings that nobody knows.

    Raises:
        ConfigError: at its place.
    """
    evolution = loaded.config.evolution
    for index, name in enumerate(evolution.encodings if evolution is not None else ()):
        try:
            encodings.find(name)
        except UsageError as error:
            raise loaded.error_at(("evolution", "encodings", index), str(error)) from error


def make_base(loaded: Config) -> Classifier:
    """The undefended net.

    Raises:
        ConfigError: it cannot be had, or cannot be judged: a black box, or averaged crops.
    """
    base = loaded_net(loaded, ("base",), loaded.config.base)
    check_white(loaded, ("base",), base)
    return base


def make_sources(loaded: Config, base: Classifier) -> tuple[Classifier, ...]:
    """The nets whose adversarial pictures are tried on others.

    Raises:
        ConfigError: one is a black box, or has other labels or another input than `base`.
    """
    return load_sources(loaded, ("sources",), loaded.config.sources, base)


def load_sources(
    loaded: Config,
    section: KeyPath,
    written: tuple[ClassifierConfig, ...] | None,
    base: Classifier,
) -> tuple[Classifier, ...]:
    """The nets that `section` names, held against `base`; that alone where nothing is written.

    Raises:
        ConfigError: as `make_sources`.
    """
    if written is None:
        return (base,)
    found = []
    for index, spec in enumerate(written):
        where: KeyPath = (*section, index)
        source = loaded_net(loaded, where, spec)
        check_white(loaded, where, source)
        check_like(loaded, where, source, base)
        found.append(source)
    return tuple(found)


def make_ground(loaded: Config, base: Classifier) -> Ground:
    """The images that are attacked, others to start from, and the sources.

    Raises:
        ConfigError: the data set is missing or damaged, or its images or classes are not the net's.
    """
    config = loaded.config
    wanted = config.data
    data = load_split(loaded, wanted.split)
    check_images(loaded, data, base)
    labels = classes_of(loaded, data, base)
    order = generator(config.seed, Stream.CHOICE, 0, 0).permutation(len(data))
    count = len(data) if wanted.limit is None else min(wanted.limit, len(data))
    chosen = order[:count]
    if wanted.split != "train" and "train" in inspect_dataset(wanted.dataset).splits:
        others = load_split(loaded, "train").images
        order = generator(config.seed, Stream.CHOICE, 1, 0).permutation(len(others))
        start = others[order[: wanted.start]]
    else:
        start = data.images[order[count : count + wanted.start]]
    if not len(start):
        raise loaded.error_at(
            "data.limit",
            f"all {len(data)} images are attacked, and there is no training split: none is left"
            " to start a substitute from; lower it",
        )
    return Ground(data.images[chosen], labels[chosen], start, make_sources(loaded, base))


def victim_config(
    loaded: Config, base: Classifier, start: UInt8Images, make_scorer: MakeScorer, weights: str
) -> VictimConfig:
    """What ``victim.yaml`` is to say.

    Args:
        loaded: the config.
        base: the undefended net.
        start: clean pictures that a detector's threshold is set on.
        make_scorer: for the base.
        weights: of a trained net or denoiser, as they are named from the folder of the file.

    Raises:
        ConfigError: the defense does not fit the net.
    """
    config, defense = loaded.config, loaded.config.defense
    if isinstance(defense, TrainedDefense):
        return VictimConfig(base=ClassifierConfig(name=weights))
    if isinstance(defense, NoDefenseConfig):
        return VictimConfig(base=config.base)
    if isinstance(defense, DenoiserDefense):
        front = DenoiserConfig(name="denoiser", weights=weights)
        return VictimConfig(base=config.base, defense=front)
    if isinstance(defense, MaxSoftmaxDefense | EnergyDefense):
        return VictimConfig(
            base=config.base, defense=_calibrated(loaded, defense, base, start, make_scorer)
        )
    check_defense(loaded, base, defense)
    return VictimConfig(base=config.base, defense=defense)


def check_defense(loaded: Config, base: Classifier, defense: DefenseConfig) -> None:
    """Refuse a defense that does not go around `base`.

    Raises:
        ConfigError: at its place.
    """
    try:
        defend(base, defense)
    except UsageError as error:
        raise loaded.error_at("defense", str(error)) from error


def check_defended(loaded: Config, victim: Classifier, base: Classifier) -> None:
    """Refuse a trained net of other classes or another input than its undefended one."""
    if isinstance(loaded.config.defense, TrainedDefense):
        check_like(loaded, ("defense",), victim, base)


def _calibrated(
    loaded: Config,
    defense: DetectorDefense,
    base: Classifier,
    start: UInt8Images,
    make_scorer: MakeScorer,
) -> DefenseConfig:
    """A detector with its threshold, found on clean pictures unless it is given."""
    if defense.threshold is not None:
        return detector(defense, defense.threshold)
    import torch

    from evofool.defenses.detectors import DETECTORS, threshold_for

    check_defense(loaded, base, detector(defense, 0.0))
    options = {"temperature": defense.temperature} if isinstance(defense, EnergyDefense) else {}
    with make_scorer(base) as scorer:
        outputs = scorer.score(start).outputs
    assert outputs is not None
    scores = DETECTORS[defense.name](**options).score(torch.from_numpy(np.asarray(outputs)))
    alarms = FALSE_ALARMS if defense.false_alarms is None else defense.false_alarms
    try:
        return detector(defense, threshold_for(scores.numpy(), alarms))
    except UsageError as error:
        raise loaded.error_at("data.start", str(error)) from error


def detector(defense: DetectorDefense, threshold: float) -> DefenseConfig:
    """A detector of the config, at a threshold."""
    if isinstance(defense, EnergyDefense):
        return EnergyConfig(
            name="energy", threshold=threshold, temperature=defense.temperature
        )  # fmt: skip
    return MaxSoftmaxConfig(name="max-softmax", threshold=threshold)


def strength(config: DefendConfig) -> Strength:
    """The attacks' parameters as `threats` takes them."""
    t = config.threats
    return Strength(
        eps=t.eps,
        step_size=t.eps / 10 if t.step_size is None else t.step_size,
        steps=t.steps,
        restarts=t.restarts,
        alpha=t.alpha,
        black_images=t.black_images,
        square_queries=t.square_queries,
        substitute_initial=t.substitute_initial,
        substitute_rounds=t.substitute_rounds,
        seed=config.seed,
    )
