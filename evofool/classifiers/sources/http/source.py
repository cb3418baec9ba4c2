"""``classifier: {http: {...}}``: a victim that is a service."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.classifiers.base import Classifier, Link, Output
from evofool.classifiers.build import check_link, check_shape
from evofool.classifiers.checks.probe import probe_source
from evofool.classifiers.labels import check_labels
from evofool.classifiers.sources.http.answers import Classes
from evofool.classifiers.sources.http.client import Client
from evofool.classifiers.sources.http.dialects import (
    Custom,
    Dialect,
    Evofool,
    HuggingFace,
    KServe,
    joined,
    model_path,
)
from evofool.classifiers.sources.http.failures import Failed
from evofool.classifiers.sources.http.service import Service, document
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.config.http import HttpConfig, TensorConfig
from evofool.errors import ClassifierError
from evofool.images import Shape

_KEYS = ("http", "input_shape", "labels", "output", "link", "probe")
_OUTPUTS: tuple[Output, ...] = ("logits", "log_probs", "probs", "topk", "label")


@dataclass(frozen=True)
class _Told:
    """What is known of a service, by the config or by itself."""

    labels: tuple[str, ...] | None = None
    shape: Shape | None = None
    output: Output | None = None
    link: Link | None = None
    identity: str = ""
    tensors: TensorConfig | None = None


def load_http(spec: ClassifierSpec, base: Path) -> Classifier:
    """A service. Its metadata are asked for where its preset has any, and no picture is sent
    unless `probe` says so.

    The digest covers what the service is (its own digest, else what the config declares), how it is
    asked and what is made of its answers, not where it is.

    Raises:
        ClassifierError: it cannot be reached, its secret is not set, or something is not known.
    """
    config = _http(spec)
    client = Client(config, spec.name)
    told = _told(spec, config, client, base)
    labels = spec.read_labels(base) or told.labels
    if labels is None:
        raise ClassifierError(
            f"classifier {spec.name}: labels: are needed, since the service does not report them"
        )
    if told.labels is not None and sorted(labels) != sorted(told.labels):
        raise ClassifierError(
            f"classifier {spec.name}: labels: are not those that the service reports, which are"
            f" {len(told.labels)}: {', '.join(told.labels[:5])[:100]}..."
        )
    shape = spec.input_shape or told.shape
    if shape is None:
        raise ClassifierError(
            f"classifier {spec.name}: input_shape: is needed, since the service does not report"
            " it; set [channels, height, width]"
        )
    shape = check_shape(shape, spec.name)
    output = spec.output or told.output or ("topk" if config.preset == "huggingface" else "probs")
    if told.output is not None and output != told.output:
        raise ClassifierError(
            f"classifier {spec.name}: output: the service gives {told.output}, not {output}"
        )
    link = check_link(output, spec.link or told.link, spec.name)
    classes = Classes(labels, output)
    identity = _identity(spec, config, told)
    service = Service(
        spec.name,
        config,
        _dialect(spec, config, classes, told),
        client,
        _sha256([identity, _asked(spec, config), list(labels), list(shape), output]),
        None if config.cache is None else resolve(config.cache, base),
    )
    probed = probe_source(
        spec.name,
        shape,
        output,
        n_labels=len(labels),
        predict=service,
        level=spec.probe or "none",
    )
    return Classifier(
        name=spec.name,
        labels=labels,
        input_shape=shape,
        digest=service.identity,
        output=output,
        link=link,
        predict=service,
        preprocessing=f"{config.picture} to {config.preset}, {config.most_pictures} a request",
        title=config.declared or "",
        probed=probed.pictures,
    )


def inspect_http(spec: ClassifierSpec, base: Path) -> Inspection:
    """What the config says; the service is not asked."""
    config = _http(spec)
    labels = spec.read_labels(base)
    missing = ""
    if config.auth is not None and not os.environ.get(config.auth.env):
        missing = f"the environment variable {config.auth.env} is not set"
    elif labels is None or spec.input_shape is None:
        missing = (
            "labels and input shape come from the service, which is contacted when the run"
            " starts; give labels and input_shape to see them here"
        )
    n_classes = None if labels is None else len(labels)
    return Inspection(spec.name, spec.input_shape, n_classes, not missing, missing)


def _http(spec: ClassifierSpec) -> HttpConfig:
    assert spec.http is not None
    tensors = ("mean", "std") if spec.http.preset == "kserve" else ()
    spec.allow("a service", (*_KEYS, *tensors))
    if spec.transforms is not None:
        raise ClassifierError(
            f"classifier {spec.name}: transforms: cannot be set for a service, where each"
            " transform would be one more picture to pay for; serve the transformed net with"
            " evofool serve"
        )
    if spec.crops != 1:
        raise ClassifierError(f"classifier {spec.name}: crops: cannot be set for a service")
    return spec.http


def _told(spec: ClassifierSpec, config: HttpConfig, client: Client, base: Path) -> _Told:
    """What the service says of itself, where its preset has a place for that."""
    whole = spec.labels is not None and spec.input_shape is not None and config.declared is not None
    try:
        if config.preset == "evofool" and not whole:
            return _of_evofool(document(client, joined(config.url, "v1/metadata"), config), spec)
        if config.tensors is not None:
            return _of_kserve(config, client, config.tensors)
    except Failed as error:
        raise ClassifierError(
            f"classifier {spec.name}: its metadata cannot be fetched:"
            f" {client.secrets.hide(str(error))}"
        ) from None
    return _Told()


def _of_evofool(value: Any, spec: ClassifierSpec) -> _Told:
    wrong = ClassifierError(f"classifier {spec.name}: its metadata are not those of evofool serve")
    if not isinstance(value, Mapping) or value.get("contract") != 1:
        raise wrong
    labels, shape, digest = value.get("labels"), value.get("input_shape"), value.get("digest")
    if not (isinstance(labels, list) and isinstance(shape, list) and isinstance(digest, str)):
        raise wrong
    output, link = value.get("output"), value.get("link")
    if output not in _OUTPUTS or link not in ("softmax", "sigmoid", "identity"):
        raise wrong
    return _Told(
        check_labels(labels, f"classifier {spec.name}"),
        check_shape(shape, spec.name),
        output,
        link,
        digest[:200],
    )


def _of_kserve(config: HttpConfig, client: Client, tensors: TensorConfig) -> _Told:
    if tensors.input is not None and tensors.output is not None:
        return _Told(tensors=tensors)
    value = document(client, joined(config.url, model_path(tensors)), config)
    names: dict[str, str] = {}
    for key, wanted in (("inputs", tensors.input), ("outputs", tensors.output)):
        found = value.get(key) if isinstance(value, Mapping) else None
        first = found[0] if isinstance(found, list) and found else None
        name = wanted or (first.get("name") if isinstance(first, Mapping) else None)
        if not isinstance(name, str) or not name:
            raise Failed(f"they name no {key}; set http.tensors.{key[:-1]}", again=False)
        names[key[:-1]] = name
    return _Told(tensors=tensors.model_copy(update=names))


def _dialect(spec: ClassifierSpec, config: HttpConfig, classes: Classes, told: _Told) -> Dialect:
    if config.preset == "kserve":
        assert told.tensors is not None
        return KServe(config, classes, told.tensors, spec.mean or (0.0,), spec.std or (1.0,))
    if config.preset == "huggingface":
        return HuggingFace(config, classes)
    return Evofool(config, classes) if config.preset == "evofool" else Custom(config, classes)


def _identity(spec: ClassifierSpec, config: HttpConfig, told: _Told) -> str:
    if told.identity:
        return f"told {told.identity}"
    if config.declared is None:
        raise ClassifierError(
            f"classifier {spec.name}: http.declared: is needed, since the service offers no"
            " digest of its classifier: give the classifier's name and version, and change them"
            " when it changes"
        )
    return f"declared {config.declared}"


def _asked(spec: ClassifierSpec, config: HttpConfig) -> dict[str, Any]:
    """What of a config decides about answers."""
    asked: dict[str, Any] = {"preset": config.preset, "picture": config.picture}
    if config.picture == "jpeg":
        asked["quality"] = config.quality
    for key in ("request", "answer", "tensors"):
        part = getattr(config, key)
        if part is not None:
            asked[key] = part.model_dump(mode="json")
    for key in ("mean", "std"):
        if getattr(spec, key) is not None:
            asked[key] = list(getattr(spec, key))
    return asked


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
