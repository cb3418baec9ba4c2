"""The static nets of ensemble adversarial training: loaded, and checked against the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from evofool.classifiers import load_classifier
from evofool.classifiers.base import Classifier
from evofool.classifiers.identity.code import code_in
from evofool.classifiers.labels import numbered_labels
from evofool.config import Loaded
from evofool.data import Dataset
from evofool.errors import ClassifierError, UsageError
from evofool.training.adversary import (
    Adversary,
    FgsmAdversary,
    PgdAdversary,
    Source,
    static_source,
)
from evofool.training.config import (
    AdversaryConfig,
    EnsembleAdversaryConfig,
    PgdAdversaryConfig,
    TrainConfig,
)
from evofool.training.plan import absent_source, source_spec


@dataclass(frozen=True)
class Static:
    """A static source.

    Attributes:
        name: as in the config.
        digest: of its weights.
        source: what adversaries climb.
    """

    name: str
    digest: str
    source: Source


def load_sources(
    loaded: TrainConfig | Loaded[TrainConfig], out: Path, data: Dataset
) -> tuple[Static, ...]:
    """The static sources of a config; empty where it has none.

    Raises:
        UsageError: one is missing, gives no gradients, has other labels or another input shape.
    """
    config = loaded.config if isinstance(loaded, Loaded) else loaded
    if not isinstance(config.adversary, EnsembleAdversaryConfig):
        return ()
    sources = []
    for index, written in enumerate(config.adversary.sources):
        spec, base = source_spec(loaded, index, out)
        where = f"training {config.name}: source {written.name}"
        if problem := absent_source(spec, written.name, out):
            raise UsageError(f"{where}: {problem}")
        try:
            victim = load_classifier(spec, base=base)
        except ClassifierError as error:
            raise UsageError(f"{where}: {error}") from error
        _check(victim, data, where)
        sources.append(Static(written.name, victim.digest, static_source(victim)))
    return tuple(sources)


def source_code(loaded: TrainConfig | Loaded[TrainConfig], out: Path) -> dict[str, dict[str, str]]:
    """The code that sources are made by: by number of the source, sha256 by name of the file.

    Raises:
        UsageError: a file cannot be read.
    """
    config = loaded.config if isinstance(loaded, Loaded) else loaded
    if not isinstance(config.adversary, EnsembleAdversaryConfig):
        return {}
    code: dict[str, dict[str, str]] = {}
    for index in range(len(config.adversary.sources)):
        spec, base = source_spec(loaded, index, out)
        for file in code_in({"name": spec.name}, base).get("name", ()):
            own = {Path(file["path"]).name: file["sha256"], **file.get("beside", {})}
            code.setdefault(str(index), {}).update(own)
    return code


def make_adversary(config: AdversaryConfig, static: tuple[Static, ...] = ()) -> Adversary:
    """The adversary that a config describes, with its loaded sources."""
    if isinstance(config, PgdAdversaryConfig):
        return PgdAdversary(
            eps=config.eps,
            step_size=step_size(config),
            alpha=config.alpha,
            steps=config.steps,
            random_start=config.random_start,
            target=config.target,
            warmup=config.warmup,
        )
    return FgsmAdversary(
        eps=config.eps,
        alpha=config.alpha,
        random_step=config.random_step,
        target=config.target,
        others=tuple(entry.source for entry in static),
        warmup=config.warmup,
    )


def step_size(config: PgdAdversaryConfig) -> float:
    """As given, or 2.5 eps / steps."""
    return 2.5 * config.eps / config.steps if config.step_size is None else config.step_size


def to_device(static: tuple[Static, ...], device: torch.device) -> None:
    """Moves the sources to where the training runs."""
    for entry in static:
        entry.source.net.to(device)


def _check(victim: Classifier, data: Dataset, where: str) -> None:
    if not victim.white_box or victim.output in ("topk", "label"):
        raise UsageError(f"{where}: gives no gradients; a source must be a white box")
    if victim.crops != 1:
        raise UsageError(f"{where}: a source cannot have crops: {victim.crops}; leave it out")
    if victim.transformed is not None:
        raise UsageError(f"{where}: a source cannot have transforms; leave them out")
    if victim.input_shape != data.shape:
        raise UsageError(
            f"{where}: takes {_by(victim.input_shape)} images, those of {data.name} are"
            f" {_by(data.shape)}; use a net trained on {data.name}"
        )
    if victim.n_classes != len(data.label_names):
        raise UsageError(
            f"{where}: has {victim.n_classes} classes, {data.name} has {len(data.label_names)};"
            f" use a net trained on {data.name}"
        )
    if victim.labels in (data.label_names, numbered_labels(victim.n_classes)):
        return
    index = next(
        number
        for number, pair in enumerate(zip(victim.labels, data.label_names, strict=True))
        if pair[0] != pair[1]
    )
    raise UsageError(
        f"{where}: has other labels than {data.name}: class {index} is"
        f" {victim.labels[index]!r} there and {data.label_names[index]!r} here; use a net trained"
        f" on {data.name}, or give the labels it should have"
    )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
