"""Nets that give features: a picture is of the class whose prototype they are nearest to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Predict
from evofool.classifiers.build import freeze
from evofool.classifiers.checks.answers import owned
from evofool.classifiers.checks.probe import onnx_runner, probe
from evofool.classifiers.labels import check_labels
from evofool.classifiers.reading import MOST_PICTURES, picture_files, read_npz, read_prepared
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.config.classifier import PrototypesConfig
from evofool.errors import ClassifierError
from evofool.files import is_file, is_folder, reason
from evofool.images import PICTURE_SUFFIXES, UInt8Images, to_float

if TYPE_CHECKING:
    from torch import nn

KEY = "prototypes"
"""What the array of a file is called."""
_AT_ONCE = 32
_FORM = (
    f"save an array {KEY!r} of classes x features, and beside it 'labels', in a .npz or"
    " .safetensors"
)


@dataclass(frozen=True)
class Prototypes:
    """One point a class, in the space of a net's features.

    Attributes:
        points: float32 classes x features.
        labels: one a class, None if nobody named them.
        digest: hex sha256 of what they were made of: the numbers, or the pixels of the pictures.
    """

    points: NDArray[np.float32]
    labels: tuple[str, ...] | None
    digest: str


def features_spec(spec: ClassifierSpec) -> ClassifierSpec:
    """`spec` of the net that gives the features: names and outputs are those of the classes.

    Raises:
        ClassifierError: an option that says how outputs become confidences.
    """
    if spec.prototypes is None:
        return spec
    for key in ("output", "link", "task"):
        if getattr(spec, key) is not None:
            raise ClassifierError(
                f"classifier {spec.name}: {key} cannot be set beside prototypes, whose outputs are"
                " similarities; leave it away"
            )
    return spec.model_copy(update={"labels": None})


def with_prototypes(net: Classifier, spec: ClassifierSpec, base: Path) -> Classifier:
    """The classifier whose logits are the scaled similarities of a net's features to prototypes.

    A module keeps its gradients. A graph, and a predict function, give features, and the prototypes
    are compared with them afterwards, in float32 in PyTorch too.

    Args:
        net: gives features, N x D, as if they were scores of D classes.
        spec: with its `prototypes`, or without, and then `net` is returned.
        base: folder that relative paths start from.

    Raises:
        ClassifierError: a net that gives labels, or several answers to a picture; prototypes that
            are missing, damaged, of another number of features, not finite, or without names; a
            folder of pictures for a predict function.
    """
    config = spec.prototypes
    if config is None:
        return net
    where = f"classifier {spec.name}: prototypes"
    if net.passes > 1 or net.output in ("label", "topk"):
        raise ClassifierError(f"{where}: are for one net that gives features")
    path = resolve(config.path, base)
    if is_folder(path) and net.predict is not None:
        raise ClassifierError(
            f"{where}: {path}: is a folder of pictures, which a predict function would be sent each"
            " time it is loaded; save their mean features to a file and name that"
        )
    if is_folder(path):
        found = _of_folder(path, net, config, where)
    elif is_file(path):
        found = _of_file(path, where)
    else:
        raise ClassifierError(f"{where}: {path}: no such file or folder")
    classes, features = found.points.shape
    if features != net.n_classes:
        raise ClassifierError(
            f"{where}: {path} holds points of {features} numbers, and the net gives"
            f" {net.n_classes} features; make them with this net"
        )
    labels = spec.read_labels(base) or found.labels
    if labels is None or len(labels) != classes:
        told = "without names" if labels is None else f"with {len(labels)} labels"
        raise ClassifierError(
            f"{where}: {classes} prototypes {told}; give one label a class, as labels or in"
            " the file"
        )
    told_by = [net.digest, found.digest, config.similarity, config.factor]
    behind = dataclasses.replace(
        net,
        name=spec.name,
        labels=labels,
        output="logits",
        link="softmax",
        digest=hashlib.sha256(json.dumps(told_by).encode()).hexdigest(),
        old_digest=None,
        preprocessing=f"{net.preprocessing}; nearest of {classes} prototypes ({config.similarity})",
        **_behind(net, found, config),
    )
    if behind.module is not None:
        freeze(behind.module)
    probed = probe(behind, spec.probe)
    return dataclasses.replace(behind, probed=net.probed + probed.pictures if net.predict else 0)


def inspect_prototypes(found: Inspection, spec: ClassifierSpec, base: Path) -> Inspection:
    """The description of a net that gives features, `found`, as that of the classifier."""
    if spec.prototypes is None:
        return found
    path = resolve(spec.prototypes.path, base)
    labels = spec.read_labels(base)
    n_classes = None if labels is None else len(labels)
    if n_classes is None and is_folder(path):
        n_classes = len(_class_folders(path)) or None
    missing = "" if is_file(path) or is_folder(path) else f"prototypes: {path}: no such file"
    return dataclasses.replace(
        found,
        n_classes=n_classes,
        ready=found.ready and not missing,
        missing=found.missing or missing,
    )


def _behind(net: Classifier, found: Prototypes, config: PrototypesConfig) -> dict[str, Any]:
    """What runs the net, with the comparison to prototypes behind it."""
    from torch import nn

    from evofool.classifiers.nets.nearest_prototype import NearestPrototype

    given = nn.Identity() if net.module is None else net.module
    module = NearestPrototype(given, found.points, config.similarity, config.factor)
    if net.module is not None:
        return {"module": module}
    head = _Head(module.eval())
    if net.onnx is not None:
        return {"feed": dataclasses.replace(net.feed, head=head)}
    assert net.predict is not None
    return {"predict": _Asked(net.predict, head)}


@dataclass(frozen=True)
class _Head:
    """Similarities to prototypes, of features that no module gives.

    Attributes:
        module: floating N x features to float32 N x classes.
    """

    module: nn.Module

    def __call__(self, features: NDArray[np.generic]) -> NDArray[np.float32]:
        """`features`, N x D, as logits, N x classes."""
        import torch

        from evofool.classifiers.checks.defaults import DEFAULTS

        with DEFAULTS.use(), torch.no_grad():
            logits = self.module(torch.from_numpy(features.astype(np.float32)))
        result: NDArray[np.float32] = logits.numpy()
        return result


@dataclass(frozen=True)
class _Asked:
    """A predict function of features, with the comparison behind it."""

    predict: Predict
    head: _Head

    def __call__(self, images: UInt8Images) -> NDArray[np.generic]:
        """`images`, uint8 N x C x H x W, to logits, N x classes."""
        return self.head(owned(self.predict(images), ""))


def _of_file(path: Path, where: str) -> Prototypes:
    try:
        arrays, labels = _safetensors(path) if path.suffix == ".safetensors" else _npz(path)
    except Exception as error:  # a damaged archive gives errors of a dozen types
        raise ClassifierError(
            f"{where}: {path}: cannot be read ({reason(error)}); {_FORM}"
        ) from error
    points = arrays.get(KEY)
    if points is None:
        raise ClassifierError(f"{where}: {path}: holds no array {KEY!r}; {_FORM}")
    usable = points.ndim == 2 and points.dtype.kind in "fiu" and min(points.shape) >= 1
    if not usable or len(points) < 2:
        by = " x ".join(map(str, points.shape)) or "a scalar"
        raise ClassifierError(
            f"{where}: {path}: {KEY!r} is {points.dtype} {by}, not classes x features (two classes"
            f" at least); {_FORM}"
        )
    floats: NDArray[np.float32] = points.astype(np.float32)
    if not np.isfinite(floats).all():
        raise ClassifierError(f"{where}: {path}: holds NaN or infinite numbers; make them anew")
    told = None if labels is None else check_labels(labels, str(path))
    return Prototypes(floats, told, hashlib.sha256(floats.tobytes()).hexdigest())


def _npz(path: Path) -> tuple[dict[str, NDArray[np.generic]], list[str] | None]:
    arrays = read_npz(path, (KEY, "labels"))
    labels = arrays.get("labels")
    return arrays, None if labels is None else [str(label) for label in labels.reshape(-1)]


def _safetensors(path: Path) -> tuple[dict[str, NDArray[np.generic]], list[str] | None]:
    from safetensors import safe_open

    from evofool.classifiers.nets.stored_tensors import read_safetensors

    tensors = read_safetensors(path)
    with safe_open(path, "numpy") as file:
        told = (file.metadata() or {}).get("labels")
    labels = None if told is None else json.loads(told)
    if labels is not None and not isinstance(labels, list):
        raise ValueError("its labels are no list of names in JSON")
    arrays = {KEY: tensors[KEY].float().numpy()} if KEY in tensors else {}
    return arrays, labels


def _class_folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir() and each.name[:1] != ".")


def _of_folder(path: Path, net: Classifier, config: PrototypesConfig, where: str) -> Prototypes:
    """The mean features of the pictures of each class.

    For cosine similarity each picture's features count with length 1.
    """
    folders = _class_folders(path)
    if len(folders) < 2:
        raise ClassifierError(
            f"{where}: {path}: has {len(folders)} folders; put the pictures of each class into one"
            " of its own, which bears its name"
        )
    sha256, points, left = hashlib.sha256(), [], MOST_PICTURES
    for folder in folders:
        files = picture_files(folder)
        left -= len(files)
        if not files or left < 0:
            raise ClassifierError(
                f"{where}: {folder}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})"
                if not files
                else f"{where}: {path}: holds more than {MOST_PICTURES} pictures; give fewer"
            )
        total = np.zeros(net.n_classes)
        for start in range(0, len(files), _AT_ONCE):
            pixels = np.stack(
                [read_prepared(file, net, where) for file in files[start : start + _AT_ONCE]]
            )
            sha256.update(pixels.tobytes())
            total += _features(net, pixels, config).sum(0)
        sha256.update(folder.name.encode("utf-8", "surrogateescape"))
        points.append((total / len(files)).astype(np.float32))
    labels = check_labels([folder.name for folder in folders], str(path))
    return Prototypes(np.stack(points), labels, sha256.hexdigest())


def _features(
    net: Classifier, pixels: UInt8Images, config: PrototypesConfig
) -> NDArray[np.float64]:
    """Of `pixels`, uint8 N x C x H x W: N x features, of length 1 for cosine similarity."""
    if net.onnx is not None:
        graph = onnx_runner(net.onnx, net.name, net.feed)
        features = graph(pixels).astype(np.float64)
    else:
        features = _of_module(net, pixels)
    if config.similarity == "cosine":
        features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return features


def _of_module(net: Classifier, pixels: UInt8Images) -> NDArray[np.float64]:
    import torch

    from evofool.classifiers.checks.defaults import DEFAULTS

    assert net.module is not None
    with DEFAULTS.use(), torch.no_grad():
        given = net.module(torch.from_numpy(to_float(pixels)))
    features: NDArray[np.float64] = given.double().numpy()
    return features
