"""From a config to the parts of a campaign, with every error at its place in the config."""

from __future__ import annotations

import logging
import platform
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from evofool import encodings
from evofool.classifiers import Classifier, Inspection, inspect_classifier, load_classifier
from evofool.config import Campaign, ClassifierConfig, Loaded, MapElitesConfig, cells
from evofool.encodings import Encoding, EncodingSource
from evofool.errors import ClassifierError, ConfigError, EncodingError, UsageError
from evofool.evolution.algorithms import Algorithm, make_algorithm
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.evaluation import Evaluator
from evofool.images import Shape
from evofool.scoring import Scorer

REPORTED = ("evofool", "torch", "torchvision", "numpy", "deap", "onnxruntime", "numba")
"""Packages whose versions the manifest records: they can move a score or a pixel."""


@dataclass
class Parts:
    """Everything a campaign runs with. `config` is resolved: nothing in it says auto."""

    config: Campaign
    classifier: Classifier
    encoding: Encoding[Any]
    encoding_source: EncodingSource
    scorer: Scorer
    archive: ChampionArchive
    evaluator: Evaluator
    algorithm: Algorithm


@dataclass(frozen=True)
class Plan:
    """What a dry run finds out, without any weights unless classes are named by their labels.

    Attributes:
        config: checked and resolved as far as it can be.
        classifier: the victim, and what is missing to run it.
        evaluations: images the campaign scores, None if its stop rules do not say.
    """

    config: Campaign
    classifier: Inspection
    evaluations: int | None


def plan(loaded: Loaded[Campaign]) -> Plan:
    """Check a campaign without running it.

    Raises:
        ConfigError: whatever can be known to be wrong without the victim's weights.
    """
    config = loaded.config
    try:
        victim = inspect_classifier(_spec(config.classifier))
    except ClassifierError as error:
        raise _at_classifier(loaded, error) from error
    shape = victim.input_shape
    if shape is not None:
        encoding, _ = make_encoding(loaded, shape)
        config = _resolved_encoding(config, encoding)
    else:
        _find_encoding(loaded)
    if _named_classes(config):
        if victim.ready:  # only the victim knows its labels
            cells(loaded, make_victim(loaded).labels)
    elif victim.n_classes is not None:
        cells(loaded, [str(i) for i in range(victim.n_classes)])
    check_stop(loaded)
    return Plan(config, victim, planned_evaluations(config))


def planned_evaluations(config: Campaign) -> int | None:
    """Images that a campaign scores when no other stop rule ends it first."""
    stop, evolution = config.stop, config.evolution
    limits = []
    if stop.generations is not None:
        limits.append(evolution.initial + stop.generations * evolution.children)
    for limit in (stop.evaluations, config.scoring.budget):
        if limit is not None:
            whole = (limit - evolution.initial) // evolution.children
            limits.append(evolution.initial + max(0, whole) * evolution.children)
    return min(limits) if limits else None


def check_stop(loaded: Loaded[Campaign]) -> None:
    """Refuse limits that the initial population alone exceeds."""
    config = loaded.config
    for key, limit in (
        ("stop.evaluations", config.stop.evaluations),
        ("scoring.budget", config.scoring.budget),
    ):
        if limit is not None and limit < config.evolution.initial:
            raise loaded.error_at(
                key,
                f"{limit} images do not cover the {config.evolution.initial} initial individuals"
                " (evolution.initial)",
            )


def make_victim(loaded: Loaded[Campaign]) -> Classifier:
    """The victim of a config, probed."""
    try:
        return load_classifier(_spec(loaded.config.classifier))
    except ClassifierError as error:
        raise _at_classifier(loaded, error) from error


def make_encoding(loaded: Loaded[Campaign], shape: Shape) -> tuple[Encoding[Any], EncodingSource]:
    """The encoding of a config for images of `shape`."""
    source = _find_encoding(loaded)
    config = loaded.config.encoding
    try:
        return encodings.load(config.name, shape, config.options), source
    except EncodingError as error:
        key = ("encoding", *error.option.split(".")) if error.option else ("encoding",)
        raise loaded.error_at(key, str(error)) from error


def make_parts(loaded: Loaded[Campaign], should_stop: Callable[[], bool]) -> Parts:
    """Everything a campaign runs with.

    Raises:
        ConfigError: the config does not fit the victim, the encoding or this machine.
    """
    check_stop(loaded)
    classifier = make_victim(loaded)
    encoding, source = make_encoding(loaded, classifier.input_shape)
    chosen = cells(loaded, classifier.labels)
    config = _resolved_encoding(loaded.config, encoding)
    scoring = config.scoring
    try:
        scorer = Scorer(
            classifier,
            engine=scoring.engine,
            device=scoring.device,
            batch=scoring.batch,
            workers=scoring.workers,
            budget=scoring.budget,
            pad=True,
        )
    except UsageError as error:
        key, colon, message = str(error).partition(": ")
        known = bool(colon) and key.startswith("scoring.")
        place, what = (key, message) if known else ("scoring", str(error))
        raise loaded.error_at(place, what) from error
    if scorer.note:
        logging.getLogger("evofool").warning("%s: %s", classifier.name, scorer.note)
    if scorer.engine in ("torch", "onnxruntime"):
        resolved = {"engine": scorer.engine, "device": scorer.device}
        config = config.model_copy(update={"scoring": scoring.model_copy(update=resolved)})
    if classifier.output == "label":
        raise loaded.error_at(
            "classifier",
            f"{classifier.name} gives labels only; evolution needs confidences to climb",
        )
    archive = ChampionArchive(chosen, config.evolution.fitness)
    evaluator = Evaluator(scorer, encoding, archive, should_stop)
    try:
        algorithm = make_algorithm(config.evolution, config.seed, encoding, archive, evaluator)
    except UsageError as error:
        message = str(error).removeprefix("evolution.algorithm: ")
        raise loaded.error_at("evolution.algorithm", message) from error
    return Parts(config, classifier, encoding, source, scorer, archive, evaluator, algorithm)


def make_manifest(parts: Parts, command: str | None) -> dict[str, Any]:
    """``manifest.json`` of a new campaign: what it needs to be understood and gone on with."""
    classifier, source = parts.classifier, parts.encoding_source
    victim: dict[str, Any] = {
        "name": classifier.name,
        "digest": classifier.digest,
        "input_shape": list(classifier.input_shape),
        "labels": list(classifier.labels),
    }
    if classifier.source is not None:
        victim["path"], victim["sha256"] = str(classifier.source[0]), classifier.source[1]
    encoding: dict[str, Any] = {"name": parts.config.encoding.name}
    if source.path is not None:
        encoding["path"], encoding["sha256"] = str(source.path), source.sha256
    return {
        "kind": "evolve",
        "run_id": uuid.uuid4().hex,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "seed": parts.config.seed,
        "classifier": victim,
        "encoding": encoding,
        "versions": {"python": platform.python_version(), **versions()},
        "platform": f"{sys.platform} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Installed versions of the packages a result may depend on."""
    found = {}
    for package in REPORTED:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _spec(config: ClassifierConfig) -> dict[str, Any]:
    return config.model_dump(exclude_none=True)


def _at_classifier(loaded: Loaded[Campaign], error: ClassifierError) -> ConfigError:
    message = str(error).removeprefix("classifier").removeprefix(":").strip()
    return loaded.error_at("classifier", message)


def _find_encoding(loaded: Loaded[Campaign]) -> EncodingSource:
    try:
        return encodings.find(loaded.config.encoding.name)
    except EncodingError as error:
        raise loaded.error_at(("encoding", "name"), str(error)) from error


def _resolved_encoding(config: Campaign, encoding: Encoding[Any]) -> Campaign:
    options = _plain(dict(encoding.options))
    name = config.encoding.name
    new = type(config.encoding).model_validate({"name": name, "options": options})
    return config.model_copy(update={"encoding": new})


def _plain(value: Any) -> Any:
    """Tuples and numpy scalars as the YAML values they stand for."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def _named_classes(config: Campaign) -> bool:
    """Whether the classes are given by labels, which only the loaded victim knows."""
    evolution = config.evolution
    if isinstance(evolution, MapElitesConfig):
        items = () if evolution.classes == "all" else evolution.classes
        return any(isinstance(item, str) for item in items)
    return isinstance(evolution.target, str)
