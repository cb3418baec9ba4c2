"""The victim and the scorer of a config, with every error at its place in the config."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from evofool.classifiers import Classifier, Inspection, inspect_classifier, load_classifier
from evofool.config import ClassifierConfig, Loaded, ScoringConfig
from evofool.errors import ClassifierError, ConfigError, UsageError
from evofool.scoring.ledger import Heading
from evofool.scoring.scorer import Scorer


def inspect_victim(loaded: Loaded[Any]) -> Inspection:
    """A description of the victim of a config (its ``classifier``), without loading it.

    Raises:
        ConfigError: there is no such victim.
    """
    try:
        return inspect_classifier(_spec(loaded.config.classifier))
    except ClassifierError as error:
        raise _at_classifier(loaded, error) from error


def only_loading_tells(inspection: Inspection) -> bool:
    """Whether a victim is on this machine, but only running its code (a user's) describes it.

    A dry run does run it, since it is to show what the run would do.
    """
    return inspection.ready and None in (inspection.input_shape, inspection.n_classes)


def inspection_of(victim: Classifier) -> Inspection:
    """The description of a victim that is loaded."""
    return Inspection(victim.name, victim.input_shape, victim.n_classes, ready=True)


def make_victim(loaded: Loaded[Any]) -> Classifier:
    """The victim of a config, probed.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        return load_classifier(_spec(loaded.config.classifier))
    except ClassifierError as error:
        raise _at_classifier(loaded, error) from error


def make_scorer(
    loaded: Loaded[Any],
    classifier: Classifier,
    *,
    pad: bool = False,
    before: Callable[[int], None] | None = None,
    engine: str | None = None,
) -> tuple[Scorer, ScoringConfig]:
    """A scorer by the ``scoring`` section of a config, and that section with every `auto` resolved.

    `engine`, where it is given, replaces the config's.

    Raises:
        ConfigError: the section does not fit the victim or this machine.
    """
    scoring: ScoringConfig = loaded.config.scoring
    try:
        scorer = Scorer(
            classifier,
            engine=engine or scoring.engine,
            device=scoring.device,
            batch=scoring.batch,
            workers=scoring.workers,
            budget=scoring.budget,
            pad=pad,
            precision=scoring.precision,
            before=before,
        )
    except UsageError as error:
        key, colon, message = str(error).partition(": ")
        known = bool(colon) and key.startswith("scoring.")
        place, what = (key, message) if known else ("scoring", str(error))
        raise loaded.error_at(place, what) from error
    scorer.ledger.sent[Heading.PROBE] = classifier.probed
    if scorer.note:
        logging.getLogger("evofool").warning("%s: %s", classifier.name, scorer.note)
    if scorer.engine in ("torch", "onnxruntime"):
        resolved = {"engine": scorer.engine, "device": scorer.device}
        scoring = scoring.model_copy(update=resolved)
    return scorer, scoring


def _spec(config: ClassifierConfig) -> dict[str, Any]:
    return config.model_dump(exclude_none=True)


def _at_classifier(loaded: Loaded[Any], error: ClassifierError) -> ConfigError:
    message = str(error).removeprefix("classifier").removeprefix(":").strip()
    return loaded.error_at("classifier", message)
