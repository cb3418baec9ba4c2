"""Classifiers of scikit-learn as black boxes: ``sklearn:path/to/file.skops``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Output
from evofool.classifiers.build import check_link, check_shape
from evofool.classifiers.checks.probe import probe_source
from evofool.classifiers.labels import check_labels
from evofool.classifiers.sources.skops_model import INSTALL, read_model
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError
from evofool.images import UInt8Images

PREFIX = "sklearn:"
SUFFIX = ".skops"
_KEYS = ("input_shape", "labels", "output", "link", "mean", "std", "probe")
_METHODS: dict[Output, str] = {
    "probs": "predict_proba",
    "logits": "decision_function",
    "label": "predict",
}
"""What each output is asked of; the first that a model has is the default."""


@dataclass(frozen=True)
class _Asked:
    """The predict function of a model.

    Attributes:
        method: of the model: N x features, float64, to its answers.
        classes: as the model names them, in the order of its answers, (classes,).
        output: what is made of the answers.
        mean: subtracted from images on [0, 1], (channels or 1, 1, 1).
        std: divided by after that, likewise.
    """

    method: Callable[[NDArray[np.float64]], Any] = field(repr=False)
    classes: NDArray[Any]
    output: Output
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def __call__(self, images: UInt8Images) -> NDArray[np.generic]:
        """`images`, uint8 N x C x H x W, to N x classes, or (N,) classes."""
        scaled = (images / 255.0 - self.mean) / self.std
        answers = np.asarray(self.method(scaled.reshape(len(images), -1)))
        if self.output == "label":
            found: NDArray[np.generic] = np.searchsorted(self.classes, answers)
            return found
        if self.output == "logits" and answers.ndim == 1:  # of two classes: a sigmoid of one value
            return np.stack([-answers / 2, answers / 2], axis=1)
        if answers.ndim == 2 and answers.shape[1] != len(self.classes):
            raise ClassifierError(
                f"decision_function gives {answers.shape[1]} values for {len(self.classes)}"
                " classes; save the model with decision_function_shape='ovr'"
            )
        return answers


def is_sklearn(name: str) -> bool:
    """Whether `name` is of this kind; run folders write it without the prefix."""
    return name.startswith(PREFIX) or name.endswith(SUFFIX)


def load_sklearn(spec: ClassifierSpec, base: Path) -> Classifier:
    """A fitted classifier of scikit-learn, or a pipeline that ends in one, from a skops file.

    It is asked for rows of C * H * W numbers on [0, 1] (less `mean`, by `std`), by
    ``predict_proba``, else by ``decision_function``, whose values a softmax makes confidences of.
    The digest is the sha256 of the file, and of what the config says against its defaults.

    Raises:
        ClassifierError: see `read_model`; or it is not fitted, or made for inputs of another size,
            or does not behave as a classifier.
    """
    spec.allow("a classifier of scikit-learn", _KEYS)
    path = _path(spec, base)
    if spec.input_shape is None:
        raise ClassifierError(
            f"classifier {spec.name}: input_shape: is needed, since a row of numbers has no"
            " shape; set [channels, height, width]"
        )
    shape = check_shape(spec.input_shape, spec.name)
    model, digest = read_model(path, spec.name)
    classes = _classes(spec, model)
    size, wanted = shape[0] * shape[1] * shape[2], getattr(model, "n_features_in_", None)
    if wanted is not None and wanted != size:
        raise ClassifierError(
            f"classifier {spec.name}: input_shape: the model takes rows of {wanted} numbers, not"
            f" {' x '.join(map(str, shape))} = {size}"
        )
    _one_thread(model)
    output = _output(spec, model)
    predict = _Asked(
        getattr(model, _METHODS[output]),
        classes,
        output,
        _a_channel(spec, "mean", spec.mean or (0.0,), shape[0]),
        _a_channel(spec, "std", spec.std or (1.0,), shape[0]),
    )
    labels = spec.read_labels(base)
    if labels is None:
        labels = check_labels(_named(classes), f"classifier {spec.name}")
    elif len(labels) != len(classes):
        raise ClassifierError(
            f"classifier {spec.name}: labels: {len(labels)} for {len(classes)} classes"
        )
    link = check_link(output, spec.link, spec.name)
    probed = probe_source(
        spec.name,
        shape,
        output,
        n_labels=len(labels),
        predict=predict,
        level=spec.probe or "small",
    )
    return Classifier(
        name=spec.name,
        labels=labels,
        input_shape=shape,
        digest=_with_options(digest, spec),
        output=output,
        link=link,
        predict=predict,
        preprocessing=_describe(spec),
        source=(path, digest),
        probed=probed.pictures,
    )


def inspect_sklearn(spec: ClassifierSpec, base: Path) -> Inspection:
    """Shape and labels of the spec; whether file and packages are there."""
    from importlib.util import find_spec

    spec.allow("a classifier of scikit-learn", _KEYS)
    path = _path(spec, base)
    labels = spec.read_labels(base)
    missing = ""
    if find_spec("sklearn") is None or find_spec("skops") is None:
        missing = INSTALL
    elif not path.is_file():
        missing = f"{path}: no such file"
    n_classes = None if labels is None else len(labels)
    return Inspection(spec.name, spec.input_shape, n_classes, not missing, missing)


def _path(spec: ClassifierSpec, base: Path) -> Path:
    file = spec.name.removeprefix(PREFIX)
    if not file.endswith(SUFFIX):
        raise ClassifierError(
            f"classifier {spec.name}: name a file {PREFIX}path/to/NAME{SUFFIX}, as skops.io.dump"
            " writes it; pickles are not read, since reading one runs the code in it"
        )
    return resolve(file, base)


def _classes(spec: ClassifierSpec, model: Any) -> NDArray[Any]:
    try:
        classes = model.classes_
    except AttributeError as error:
        raise ClassifierError(f"classifier {spec.name}: the model is not fitted") from error
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or len(classes) < 2:
        raise ClassifierError(
            f"classifier {spec.name}: the model does not choose between two or more classes"
        )
    return classes


def _output(spec: ClassifierSpec, model: Any) -> Output:
    offered = [output for output, method in _METHODS.items() if hasattr(model, method)]
    output = spec.output or (offered[0] if offered else "label")
    if output not in offered:
        raise ClassifierError(
            f"classifier {spec.name}: output: this model cannot give {output}; it gives"
            f" {', '.join(offered) or 'nothing'}"
        )
    return output


def _one_thread(model: Any) -> None:
    """Threads that add up the votes of a forest do so in any order, which shows in the last bit."""
    threads = [name for name in model.get_params() if name.rpartition("__")[2] == "n_jobs"]
    model.set_params(**dict.fromkeys(threads, 1))


def _a_channel(
    spec: ClassifierSpec, key: str, values: Sequence[float], channels: int
) -> NDArray[np.float64]:
    if len(values) not in (1, channels):
        raise ClassifierError(
            f"classifier {spec.name}: {key} has {len(values)} numbers for {channels} channels"
        )
    return np.array(values, np.float64)[:, None, None]


def _named(classes: NDArray[Any]) -> list[str]:
    whole = classes.dtype.kind == "f" and (classes == np.rint(classes)).all()
    return [str(int(each)) if whole else str(each) for each in classes.tolist()]


def _with_options(digest: str, spec: ClassifierSpec) -> str:
    options = {key: getattr(spec, key) for key in ("output", "mean", "std")}
    if all(value is None for value in options.values()):
        return digest
    return hashlib.sha256(f"{digest} {json.dumps(options)}".encode()).hexdigest()


def _describe(spec: ClassifierSpec) -> str:
    parts = ["rows of numbers on [0, 1]"]
    parts += [f"{key} {list(getattr(spec, key))}" for key in ("mean", "std") if getattr(spec, key)]
    return ", ".join(parts)
