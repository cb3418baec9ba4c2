"""Victims that `evofool train` wrote: ``NAME.safetensors`` and its card ``NAME.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from evofool.classifiers.backbone import BackboneConfig
from evofool.classifiers.base import Classifier, Link, Output
from evofool.classifiers.build import check_shape
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.labels import check_labels
from evofool.classifiers.nets.architectures import ARCHITECTURES
from evofool.classifiers.sources.bundled import BUNDLED, load_architecture
from evofool.classifiers.sources.headed import BACKBONE, HOG, Stored, load_headed
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError
from evofool.files import is_file, read_file
from evofool.images import Shape

SUFFIX = ".safetensors"
_MAX_BYTES = 1 << 24
_KEYS = ("labels", "output", "link")


@dataclass(frozen=True)
class _Card:
    architecture: str
    input_shape: Shape
    labels: tuple[str, ...]
    sha256: str
    output: Output | None
    link: Link | None
    backbone: BackboneConfig | None = None
    backbone_digest: str = ""


def load_trained(spec: ClassifierSpec, base: Path) -> Classifier:
    """A net from its weights file, built according to the card beside it.

    Raises:
        ClassifierError: no such file, no card or a damaged one, other weights than the card's.
    """
    path, card = _read(spec, base)
    if not is_file(path):
        raise ClassifierError(f"classifier {spec.name}: {path}: no such file")
    sha256 = sha256_file(path)
    if sha256 != card.sha256:
        raise ClassifierError(
            f"classifier {spec.name}: {path} is not the file that {path.stem}.json describes"
            f" (sha256 {sha256[:12]}, not {card.sha256[:12]}); copy both again or train it again"
        )
    output, link = (card.output, card.link) if spec.output is None else (spec.output, None)
    link = spec.link or link
    labels = card.labels if spec.labels is None else spec.read_labels(base)
    if card.architecture in (BACKBONE, HOG):
        stored = Stored(
            spec.name, path, sha256, card.input_shape, labels or card.labels, output, link
        )
        return load_headed(stored, card.backbone, card.backbone_digest)
    whole = ClassifierSpec(
        name=card.architecture,
        weights=str(path),
        input_shape=card.input_shape,
        labels=labels,
        output=output,
        link=link,
    )
    return replace(load_architecture(whole, base), name=spec.name)


def inspect_trained(spec: ClassifierSpec, base: Path) -> Inspection:
    """The description of a net by its card, without reading the weights."""
    path, card = _read(spec, base)
    missing = "" if is_file(path) else f"{path}: no such file"
    if not missing and card.backbone is not None and BUNDLED[card.backbone.name].weights() is None:
        missing = f"its backbone: {BUNDLED[card.backbone.name].missing}"
    return Inspection(spec.name, card.input_shape, len(card.labels), not missing, missing)


def _read(spec: ClassifierSpec, base: Path) -> tuple[Path, _Card]:
    spec.allow("trained weights", _KEYS)
    path = resolve(spec.name, base)
    beside = path.with_suffix(".json")
    where = f"classifier {spec.name}"
    if not is_file(path) and not is_file(beside):
        raise ClassifierError(f"{where}: {path}: no such file")
    if not is_file(beside):
        raise ClassifierError(
            f"{where}: has no card {beside.name} beside it, which evofool train writes; for other"
            f" weights name the architecture: {{name: lenet, weights: {path.name}}}"
        )
    try:
        content = json.loads(read_file(beside, _MAX_BYTES))
        card = _Card(
            architecture=str(content["architecture"]),
            input_shape=check_shape(content["input_shape"], spec.name),
            labels=check_labels(content["labels"], str(beside)),
            sha256=str(content["sha256"]),
            # cards of before losses were a choice say neither
            output=_one_of(content.get("output"), get_args(Output)),
            link=_one_of(content.get("link"), get_args(Link)),
            **_backbone(content),
        )
    except (
        OSError, ValueError, KeyError, TypeError, RecursionError, ClassifierError, ValidationError
    ) as error:  # fmt: skip
        raise ClassifierError(
            f"{where}: {beside}: is not a card that evofool train wrote ({error!r:.300})"
        ) from error
    if card.architecture not in (*ARCHITECTURES, BACKBONE, HOG):
        raise ClassifierError(
            f"{where}: {beside}: its architecture {card.architecture[:50]!r} is unknown;"
            f" known: {', '.join((*ARCHITECTURES, BACKBONE, HOG))}"
        )
    return path, card


def _backbone(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of the net that its own is a new last layer of; nothing of others."""
    if content["architecture"] != BACKBONE:
        return {}
    told = dict(content["backbone"])
    digest = str(told.pop("digest"))
    return {"backbone": BackboneConfig.model_validate(told), "backbone_digest": digest}


def _one_of(value: object, words: tuple[Any, ...]) -> Any:
    """`value`, which must be None or one of `words`."""
    if value is not None and value not in words:
        raise ValueError(f"{str(value)[:50]!r} is not one of {', '.join(words)}")
    return value
