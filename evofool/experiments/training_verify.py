"""``evofool verify`` of what ``evofool train`` wrote: weights and their card, or a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from evofool.classifiers import Classifier, load_classifier
from evofool.classifiers.identity.files import sha256_file
from evofool.data import Dataset, load_dataset
from evofool.errors import ClassifierError, DataError, FolderError, UsageError
from evofool.scoring import Scorer
from evofool.seal import is_sealed
from evofool.store import Check
from evofool.store.files import read_json
from evofool.training import AdversaryConfig, FgsmAdversaryConfig, PgdAdversaryConfig, TrainConfig
from evofool.validation import dotted, problem_of

CLEAN_TOLERANCE = 1e-3
"""Share of the test images whose answers another machine may turn round."""
ADVERSARIAL_TOLERANCE = 1e-2
"""The same under an attack, whose steps go by signs of gradients."""
CHECKPOINT = ".checkpoint.json"


def is_training(path: Path) -> bool:
    """Whether `path` is a file, or a folder without a manifest that has a card or checkpoint."""
    if path.is_file():
        return path.suffix in (".json", ".safetensors") and path.name != "manifest.json"
    return not (path / "manifest.json").exists() and bool(_cards_in(path))


def verify_training(path: Path) -> Iterator[Check]:
    """Check trained weights, each check as soon as it is done.

    The card against itself, its config, the weights, the data set, and what the net answers; of a
    training in progress the checkpoint.

    Args:
        path: a card, its weights, a checkpoint's JSON, or a folder of them.

    Raises:
        FolderError: none of these is there.
        StoreError: a card is no JSON.
    """
    paths = _cards_in(path) if path.is_dir() else [_card_of(path)]
    for card in paths:
        name = card.name.removesuffix(CHECKPOINT).removesuffix(".json")
        checks = _checkpoint(card) if card.name.endswith(CHECKPOINT) else _trained(card)
        for check in checks:
            many = len(paths) > 1
            yield Check(f"{name}: {check.name}", check.ok, check.detail) if many else check


def _cards_in(folder: Path) -> list[Path]:
    """Cards with weights beside them, and checkpoints."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.glob("*.json"))
        if path.name.endswith(CHECKPOINT) or path.with_suffix(".safetensors").is_file()
    ]


def _card_of(path: Path) -> Path:
    card = path.with_suffix(".json")
    if not card.is_file():
        raise FolderError(f"{path}: has no card {card.name} beside it, which evofool train writes")
    return card


def _checkpoint(path: Path) -> Iterator[Check]:
    from evofool.training.state import Checkpoints

    name = path.name.removesuffix(CHECKPOINT)
    try:
        state = Checkpoints(path.parent, name, {}).read()
    except UsageError as error:
        yield Check("checkpoint", False, str(error))
        return
    assert state is not None
    detail = f"loads; {state.step} steps are done, and the same command continues"
    yield Check("checkpoint", True, detail)


def _trained(path: Path) -> Iterator[Check]:
    card = read_json(path)
    whole = is_sealed(card)
    detail = {
        True: "is as it was written",
        False: "was changed after it was written",
        None: "was written before cards held a digest of themselves",
    }
    yield Check("card", whole, detail[whole])
    try:
        config = TrainConfig.model_validate(card.get("config"))
    except ValidationError as error:
        found = problem_of(error, card.get("config"), TrainConfig)
        yield Check("config", False, f"{dotted(('config', *found.path))}: {found.message}")
        return
    faults = _card_faults(card, config, path)
    yield Check("config", not faults, "; ".join(faults[:3]) or "the card says the same")
    try:
        victim = load_classifier(str(path.with_suffix(".safetensors").absolute()))
    except ClassifierError as error:
        yield Check("weights", False, str(error))
        return
    yield Check("weights", True, f"load, sha256 {str(card['sha256'])[:12]}")
    yield from _teacher(card, config, path.parent)
    from evofool.training.loop import training_set

    try:
        train_set = training_set(config)
        test_set = load_dataset(config.dataset, "test")
    except DataError as error:
        yield Check("data", None, f"nothing is measured again: {error}")
        return
    faults = _data_faults(card, config, train_set, test_set)
    yield Check("data", not faults, "; ".join(faults[:3]) or f"{config.dataset} is as described")
    if not faults:
        yield from _sources(card, config, path.parent, train_set)
        yield from _accuracies(card, config, victim, test_set)


def _card_faults(card: Mapping[str, Any], config: TrainConfig, path: Path) -> list[str]:
    """What a card says that does not follow from its own config."""
    from evofool.training.losses import COSTS

    cost = COSTS[config.loss]
    wanted: dict[str, Any] = {
        "name": config.name,
        "architecture": config.architecture,
        "dataset": config.dataset,
        "seed": config.seed,
    }
    if "output" in card or "link" in card or config.loss != "cross-entropy":
        wanted |= {"output": cost.output, "link": cost.link}
    faults = [f"{key} is not the config's" for key in wanted if card.get(key) != wanted[key]]
    faults += _head_faults(card, config)
    if config.name != path.stem:
        faults.append(f"the files are called {path.stem}, the net {config.name}")
    adversary = config.adversary
    checked = adversary is not None and adversary.check > 0
    if checked != ("adversarial_accuracy" in card) or checked != ("adversarial_check" in card):
        faults.append("what was measured under attack is not what the config asks for")
    elif adversary is not None and checked:
        check = card["adversarial_check"]
        for key, value in _attack_facts(adversary).items():
            if not isinstance(check, dict) or check.get(key) != value:
                faults.append(f"adversarial_check.{key} is not the config's")
    for key, least, most in (
        ("test_accuracy", 0.0, 1.0),
        ("adversarial_accuracy", 0.0, 1.0),
        ("seconds", 0.0, math.inf),
    ):
        value = card.get(key, least)
        if not isinstance(value, int | float) or not least <= value <= most:
            faults.append(f"{key} is outside its range")
    return faults


def _head_faults(card: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """Of a new last layer: its backbone, and the calibration of a support vector machine."""
    faults = []
    told, backbone = card.get("backbone"), config.backbone
    wanted = None if backbone is None else backbone.model_dump(mode="json")
    if isinstance(told, dict):  # the digest is compared by who loads the net, where it matters
        told = {key: value for key, value in told.items() if key != "digest"}
    if told != wanted:
        faults.append("backbone is not the config's")
    calibration = card.get("calibration")
    if (calibration is None) != (config.loss != "hinge"):
        faults.append("card and config disagree on whether it was calibrated")
    elif calibration is not None:
        temperature = calibration.get("temperature") if isinstance(calibration, dict) else None
        if not isinstance(temperature, float) or not 0 < temperature < math.inf:
            faults.append("calibration.temperature is outside its range")
    return faults


def _attack_facts(adversary: AdversaryConfig) -> dict[str, Any]:
    """Of ``adversarial_check``, what follows from the config."""
    from evofool.training.sources import step_size

    facts: dict[str, Any] = {"attack": "fgsm", "eps": adversary.eps, "pixels": "floats"}
    if isinstance(adversary, PgdAdversaryConfig):
        facts |= {"attack": "pgd", "step_size": step_size(adversary), "steps": adversary.steps}
    return facts


def _teacher(card: Mapping[str, Any], config: TrainConfig, folder: Path) -> Iterator[Check]:
    if config.teacher is None and "teacher" not in card:
        return
    recorded = card.get("teacher")
    if config.teacher is None or not isinstance(recorded, dict):
        yield Check("teacher", False, "card and config disagree on whether there was one")
        return
    weights = folder / f"{config.teacher.name}.safetensors"
    if recorded.get("name") != config.teacher.name:
        yield Check("teacher", False, f"its name is not {config.teacher.name}")
    elif not weights.is_file():
        yield Check("teacher", None, f"{weights.name} no longer exists")
    else:
        same = sha256_file(weights) == recorded.get("sha256")
        yield Check("teacher", same, f"{weights.name} is {'the' if same else 'not the'} one")


def _data_faults(
    card: Mapping[str, Any], config: TrainConfig, train_set: Dataset, test_set: Dataset
) -> list[str]:
    from evofool.training.heads import split

    shown, held_out = split(config, train_set)
    wanted = {
        "train_images": len(shown),
        "test_images": len(test_set),
        "input_shape": list(test_set.shape),
        "labels": list(test_set.label_names),
    }
    faults = [f"{key} is not the data set's" for key in wanted if card.get(key) != wanted[key]]
    calibration = card.get("calibration")
    counted = calibration.get("pictures") if isinstance(calibration, dict) else None
    if held_out is not None and counted != len(held_out):
        faults.append("calibration.pictures is not the data set's")
    return faults


def _sources(
    card: Mapping[str, Any], config: TrainConfig, folder: Path, train_set: Dataset
) -> Iterator[Check]:
    from evofool.training.sources import load_sources

    recorded = card.get("sources", [])
    try:
        static = load_sources(config, folder, train_set)
    except UsageError as error:
        yield Check("sources", None, str(error))
        return
    wanted = [{"name": Path(each.name).name, "digest": each.digest} for each in static]
    if recorded or wanted:
        same = recorded == wanted
        yield Check("sources", same, f"are {'the' if same else 'not the'} static nets of the card")


def _accuracies(
    card: Mapping[str, Any], config: TrainConfig, victim: Classifier, test_set: Dataset
) -> Iterator[Check]:
    """What is measured anew, on the CPU wherever it was measured first."""
    from evofool.training.adversary import Source
    from evofool.training.losses import loss_of
    from evofool.training.measure import measure_adversarial
    from evofool.training.sources import make_adversary

    with Scorer(victim, engine="torch", device="cpu", batch=256) as scorer:
        right = float((scorer.labels(test_set.images) == test_set.labels).mean())
    yield _near("test_accuracy", card, right, CLEAN_TOLERANCE)
    adversary = config.adversary
    if adversary is None or not adversary.check:
        return
    count = min(adversary.check, len(test_set))
    if card["adversarial_check"].get("images") != count:
        yield Check("adversarial_check", False, f"images is not {count}")
    assert victim.module is not None
    distillation = config.distillation
    temperature = config.temperature if distillation is None else distillation.temperature
    own = Source(victim.module, loss_of(config.loss, temperature, config.smoothing))
    plain = adversary
    if not isinstance(adversary, get_args(FgsmAdversaryConfig | PgdAdversaryConfig)):
        plain = FgsmAdversaryConfig.model_validate(
            adversary.model_dump(exclude={"kind", "sources"})
        )
    attack = make_adversary(plain)
    accuracy = measure_adversarial(own, test_set, count, attack, config.seed)  # type: ignore[arg-type]
    yield _near("adversarial_accuracy", card, accuracy, ADVERSARIAL_TOLERANCE)


def _near(key: str, card: Mapping[str, Any], measured: float, tolerance: float) -> Check:
    stored = card.get(key)
    same = isinstance(stored, int | float) and bool(np.abs(stored - measured) <= tolerance)
    return Check(key, same, f"{measured:.4f} is found, but {stored} is claimed")
