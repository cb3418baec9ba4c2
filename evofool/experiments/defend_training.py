"""Defenses that are trained into the run folder first: nets and denoisers; and what is known early.

Their files lie in ``training/``, with a checkpoint beside them while they are being made.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import Attack
from evofool.attacks.registry import describe, grid
from evofool.classifiers import Classifier
from evofool.config import ClassifierConfig, Loaded
from evofool.data import inspect_dataset
from evofool.defenses.victims import BitDepthConfig, DenoiserConfig, JpegConfig, MedianConfig
from evofool.errors import AttackError, UsageError
from evofool.experiments.checked import check_like, classes_of, load_split, loaded_net
from evofool.experiments.defend_config import (
    DefendConfig,
    DenoiserDefense,
    EnergyDefense,
    MaxSoftmaxDefense,
    TrainedDefense,
)
from evofool.experiments.defend_setup import (
    check_defense,
    check_encodings,
    detector,
    load_sources,
    load_training,
)
from evofool.experiments.engine.progress import Meter
from evofool.experiments.threats import MakeScorer
from evofool.images import UInt8Images
from evofool.randomness import Stream, generator
from evofool.training import Diverged, train

FOLDER = "training"
DENOISER = "denoiser"
STEPS = 10
"""Of I-FGSM, where a denoiser's attacks are not given."""


def early_check(loaded: Loaded[DefendConfig], base: Classifier) -> None:
    """Refuse what can be known not to fit before a run folder is made.

    Raises:
        ConfigError: at its place.
    """
    defense = loaded.config.defense
    if isinstance(defense, MaxSoftmaxDefense | EnergyDefense):
        check_defense(loaded, base, detector(defense, 0.0))
    elif isinstance(defense, BitDepthConfig | MedianConfig | JpegConfig):
        check_defense(loaded, base, defense)
    elif isinstance(defense, DenoiserDefense):
        _check_denoiser(loaded, base, defense)
    elif isinstance(defense, TrainedDefense):
        if defense.weights is not None:
            net = loaded_net(loaded, ("defense",), ClassifierConfig(name=defense.weights))
            check_like(loaded, ("defense",), net, base)
        else:
            load_training(loaded)
    check_encodings(loaded)


def _check_denoiser(
    loaded: Loaded[DefendConfig], base: Classifier, defense: DenoiserDefense
) -> None:
    if defense.weights is not None:
        check_defense(loaded, base, DenoiserConfig(name="denoiser", weights=defense.weights))
        return
    from evofool.defenses.guides import guide_loss
    from evofool.defenses.unet import check_size

    assert base.module is not None
    try:
        check_size(base.input_shape, defense.width, defense.levels)
        guide_loss(defense.loss, base, base.module)
    except UsageError as error:
        raise loaded.error_at("defense", str(error)) from error
    denoiser_attacks(loaded, defense)
    load_sources(loaded, ("defense", "sources"), defense.sources, base)


def denoiser_attacks(loaded: Loaded[DefendConfig], defense: DenoiserDefense) -> list[Attack]:
    """The attacks that a denoiser learns from, in order.

    Raises:
        ConfigError: an unknown one or a wrong parameter, at its place.
    """
    seed, eps = loaded.config.seed, loaded.config.threats.eps
    if defense.attacks is None:
        given: list[tuple[str, dict[str, object]]] = [
            ("fgsm", {"eps": [eps / 2, eps]}),
            ("i-fgsm", {"eps": [eps / 2, eps], "steps": STEPS}),
        ]
    else:
        given = [(entry.name, entry.options) for entry in defense.attacks]
    found: list[Attack] = []
    for index, (name, options) in enumerate(given):
        at = ("defense", "attacks", index) if defense.attacks is not None else ("defense",)
        try:
            known = {parameter.name for parameter in describe(name).parameters}
            whole = {"early_stop": False} if "early_stop" in known else {}
            attacks = list(grid(name, {"seed": seed, **whole, **options}))
            for attack in attacks:
                attack.check_aim(labels=True, targets=False)
            found += attacks
        except AttackError as error:
            raise loaded.error_at(at, str(error)) from error
        except UsageError as error:
            raise loaded.error_at(at, f"{error}; a denoiser learns from untargeted ones") from error
    return found


def trained_weights(
    loaded: Loaded[DefendConfig],
    base: Classifier,
    run: Path,
    make_scorer: MakeScorer,
    meter: Meter,
) -> str:
    """The weights of a trained defense, as ``victim.yaml`` names them; made if need be, else empty.

    Args:
        loaded: the config.
        base: the undefended net.
        run: the run folder.
        make_scorer: for attacks on sources.
        meter: is told of progress, and asked whether to stop.

    Raises:
        ConfigError: nets or pictures do not fit.
        Diverged: the training failed; the message names the step.
    """
    defense = loaded.config.defense
    if not isinstance(defense, TrainedDefense | DenoiserDefense):
        return ""
    if defense.weights is not None:
        return defense.weights
    try:
        if isinstance(defense, DenoiserDefense):
            return _denoiser(loaded, defense, base, run, make_scorer, meter)
        return _net(loaded, run, meter)
    except Diverged as error:
        key = "defense" if isinstance(defense, DenoiserDefense) else "defense.train"
        raise Diverged(f"{loaded.locate(key)}: {error}; then begin a new run") from error


def _net(loaded: Loaded[DefendConfig], run: Path, meter: Meter) -> str:
    training = load_training(loaded)
    folder = run / FOLDER
    file = f"{FOLDER}/{training.config.name}.safetensors"
    if (folder / f"{training.config.name}.json").is_file():  # the card is written last
        return file
    meter.begin("training", 0)
    train(training, out=folder, progress=meter.trained, should_stop=meter.should_stop)
    return file


def _denoiser(
    loaded: Loaded[DefendConfig],
    defense: DenoiserDefense,
    base: Classifier,
    run: Path,
    make_scorer: MakeScorer,
    meter: Meter,
) -> str:
    from evofool.defenses.denoising import Recipe, make_pairs, sources_said, train_denoiser

    file = f"{FOLDER}/{DENOISER}.safetensors"
    if (run / FOLDER / f"{DENOISER}.json").is_file():
        return file
    attacks = denoiser_attacks(loaded, defense)
    sources = load_sources(loaded, ("defense", "sources"), defense.sources, base)
    images, labels = _pictures(loaded, base, defense.images)
    meter.begin("pictures for the denoiser", 0)
    pairs = make_pairs(images, labels, attacks, sources, make_scorer)
    config = loaded.config
    recipe = Recipe(
        guide=defense.loss,
        width=defense.width,
        levels=defense.levels,
        epochs=defense.epochs,
        batch=defense.batch,
        lr=defense.lr,
        device=defense.device,
        seed=config.seed,
    )
    try:
        train_denoiser(
            base,
            pairs,
            recipe,
            run / file,
            {"dataset": config.data.dataset, "images": len(images),
             **sources_said(attacks, sources)},
            meter.trained,
            meter.should_stop,
        )  # fmt: skip
    except Diverged as error:
        raise Diverged(f"{error}; lower defense.lr") from error
    return file


def _pictures(
    loaded: Loaded[DefendConfig], base: Classifier, count: int
) -> tuple[UInt8Images, NDArray[np.int64]]:
    """Clean pictures and their classes: of the training split, else of what is not attacked."""
    wanted, seed = loaded.config.data, loaded.config.seed
    apart = wanted.split != "train" and "train" in inspect_dataset(wanted.dataset).splits
    data = load_split(loaded, "train" if apart else wanted.split)
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
    return data.images[order], classes_of(loaded, data, base)[order]
