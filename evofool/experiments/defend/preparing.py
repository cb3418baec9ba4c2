"""From the defense of a config to works: what is trained first, and which net is defended by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from evofool.attacks import Attack
from evofool.attacks.registry import describe, grid
from evofool.config import ClassifierConfig
from evofool.data import DataSets
from evofool.defenses.base import Defense
from evofool.defenses.denoiser import Denoiser
from evofool.defenses.victims import check_defense, identity_of, made
from evofool.errors import AttackError, DataError, DefenseError, UsageError
from evofool.experiments.checked import check_like, loaded_net
from evofool.experiments.defend.config import DenoiserDefense, TrainedDefense
from evofool.experiments.defend.setup import (
    CONTROL,
    Config,
    denoiser_pictures,
    load_sources,
    load_training,
)
from evofool.experiments.engine import Planned
from evofool.experiments.engine.context import Scoring
from evofool.experiments.works.denoiser import TrainedDenoiser
from evofool.experiments.works.nets import GivenNet, Net
from evofool.experiments.works.trained import Trained
from evofool.training.sources import load_sources as load_static_sources

STEPS = 10
"""Of I-FGSM, where a denoiser's attacks are not given."""


@dataclass(frozen=True)
class Prepared:
    """A defended net and the works that make it.

    Attributes:
        net: the undefended net, or one that is trained in its place.
        defense: what stands around it; None for nothing, or a denoiser that is trained first.
        identity: of what stands around it; None for nothing.
        trains: the work that makes the weights of the defense, or None.
        denoiser: that work, where it makes what stands around the net.
        called: how ``victim.yaml`` names what stands around the net; empty for nothing.
        is_base: whether the result is known to be the undefended net itself.
        digest: of the result, where it is a net of a file; else None.
    """

    net: Net
    defense: Defense | None = None
    identity: Mapping[str, Any] | None = None
    trains: Planned | None = None
    denoiser: TrainedDenoiser | None = None
    called: str = ""
    is_base: bool = False
    digest: str | None = None


def prepare(loaded: Config, base: GivenNet, scoring: Scoring, sets: DataSets) -> Prepared:
    """What a config asks for, checked as far as it can be before anything is run.

    Raises:
        ConfigError: the defense does not fit the net, at its place.
    """
    name = loaded.config.defense.name
    if base.classifier.multi_label:
        raise loaded.error_at(
            "base",
            f"{base.classifier.name} may claim several classes (task: multi-label), but this matrix"
            " counts pictures whose only class is not the first answer; write base: and defense:"
            " into a victim.yaml, and attack that with evofool attack",
        )
    return _PREPARING.get(name, _around)(loaded, base, scoring, sets)


def _nothing(loaded: Config, base: GivenNet, scoring: Scoring, sets: DataSets) -> Prepared:
    return Prepared(base, is_base=True)


def _around(loaded: Config, base: GivenNet, scoring: Scoring, sets: DataSets) -> Prepared:
    """A defense that needs no training."""
    config = loaded.config
    try:
        defense, code = made(config.defense)
        check_defense(base.classifier, defense)
    except DefenseError as error:
        raise loaded.option_error_at(("defense",), error) from error
    except UsageError as error:
        raise loaded.error_at("defense", str(error)) from error
    return Prepared(base, defense, identity_of(defense, code), called=config.defense.name)


def _trained(loaded: Config, base: GivenNet, scoring: Scoring, sets: DataSets) -> Prepared:
    """A net in the place of the base."""
    defense = cast(TrainedDefense, loaded.config.defense)
    if defense.weights is not None:
        net = loaded_net(loaded, ("defense",), ClassifierConfig(name=defense.weights))
        check_like(loaded, ("defense",), net, base.classifier)
        given = GivenNet.of(net, {"name": defense.weights})
        return Prepared(given, is_base=net.digest == base.digest, digest=net.digest)
    training = load_training(loaded)
    try:
        data = sets.load(training.config.dataset, "train")
        static = load_static_sources(training, Path(), data)
    except (DataError, UsageError) as error:
        raise loaded.error_at("defense.train", str(error)) from error
    if (data.label_names, data.shape) != (base.classifier.labels, base.classifier.input_shape):
        raise loaded.error_at(
            "defense.train",
            f"trains on {data.name}, whose classes or images are not those of"
            f" {base.classifier.name}; name a training on the base's own data",
        )
    trained = Trained.of(
        training,
        data,
        tuple(source.digest for source in static),
        folder="training",
        where=loaded.locate("defense.train"),
    )
    return Prepared(trained, trains=Planned("training", trained, training.config.name))


def _denoiser(loaded: Config, base: GivenNet, scoring: Scoring, sets: DataSets) -> Prepared:
    """A denoiser of a file, or one that is trained first."""
    wanted = cast(DenoiserDefense, loaded.config.defense)
    config = loaded.config
    if wanted.weights is not None:
        defense = Denoiser(wanted.weights)
        try:
            check_defense(base.classifier, defense)
            identity = defense.identity()
        except UsageError as error:
            raise loaded.error_at("defense", str(error)) from error
        return Prepared(base, defense, identity, called=wanted.name)
    _check_guide(loaded, base, wanted)
    from evofool.defenses.denoising import Recipe

    attacks = denoiser_attacks(loaded)
    nets = load_sources(loaded, ("defense", "sources"), wanted.sources, base.classifier)
    specs = [config.base] if wanted.sources is None else wanted.sources
    sources = tuple(
        GivenNet.of(net, spec.model_dump(mode="json", exclude_none=True))
        for net, spec in zip(nets, specs, strict=True)
    )
    recipe = Recipe(
        guide=wanted.loss,
        width=wanted.width,
        levels=wanted.levels,
        epochs=wanted.epochs,
        batch=wanted.batch,
        lr=wanted.lr,
        device=wanted.device,
        seed=config.seed,
    )
    work = TrainedDenoiser.of(
        base,
        sources,
        tuple(attacks),
        denoiser_pictures(loaded, base.classifier, wanted.images, sets),
        recipe,
        scoring,
        config.data.dataset,
        loaded.locate("defense"),
    )
    trains = Planned("training of the denoiser", work, "denoiser")
    return Prepared(base, trains=trains, denoiser=work, called=wanted.name)


def _check_guide(loaded: Config, base: GivenNet, wanted: DenoiserDefense) -> None:
    from evofool.defenses.guides import guide_loss
    from evofool.defenses.unet import check_size

    assert base.classifier.module is not None
    try:
        check_size(base.classifier.input_shape, wanted.width, wanted.levels)
        guide_loss(wanted.loss, base.classifier, base.classifier.module)
    except UsageError as error:
        raise loaded.error_at("defense", str(error)) from error


def denoiser_attacks(loaded: Config) -> list[Attack]:
    """The attacks that a denoiser learns from, in order.

    Raises:
        ConfigError: an unknown one or a wrong parameter, at its place.
    """
    defense = cast(DenoiserDefense, loaded.config.defense)
    seed, eps = loaded.config.seed, loaded.config.threats.eps
    if defense.attacks is None:
        given: list[tuple[str, dict[str, object]]] = [
            ("fgsm", {"eps": [eps / 2, eps]}),
            ("i-fgsm", {"eps": [eps / 2, eps], "steps": STEPS}),
        ]
    else:
        given = [(entry.name, entry.options) for entry in defense.attacks]
    chosen: list[Attack] = []
    for index, (name, options) in enumerate(given):
        at = ("defense", "attacks", index) if defense.attacks is not None else ("defense",)
        try:
            known = {parameter.name for parameter in describe(name).parameters}
            whole = {"early_stop": False} if "early_stop" in known else {}
            attacks = list(grid(name, {"seed": seed, **whole, **options}))
            for attack in attacks:
                attack.check_aim(labels=True, targets=False)
            chosen += attacks
        except AttackError as error:
            raise loaded.option_error_at(at, error, options) from error
        except UsageError as error:
            raise loaded.error_at(
                at, f"{error}; a denoiser learns from untargeted attacks"
            ) from error
    return chosen


_PREPARING: Mapping[str, Callable[[Config, GivenNet, Scoring, DataSets], Prepared]] = {
    CONTROL: _nothing,
    "trained": _trained,
    "denoiser": _denoiser,
}
"""By name of the defense; all others are `_around`."""
