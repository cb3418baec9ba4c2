"""ONNX graphs as victims: scored by onnxruntime, without gradients."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.classifiers.base import Classifier
from evofool.classifiers.build import check_link, check_shape
from evofool.classifiers.labels import numbered_labels
from evofool.classifiers.probe import probe_source
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError
from evofool.files import open_file
from evofool.images import Shape

_KEYS = ("input_shape", "labels", "output", "link", "probe")


@dataclass(frozen=True)
class _Graph:
    input_shape: Shape
    n_classes: int | None
    external: tuple[Path, ...]


def load_onnx(spec: ClassifierSpec, base: Path) -> Classifier:
    """An ONNX file: one float32 input N x C x H x W on [0, 1], one output N x classes.

    The digest is the sha256 of the file, followed by that of the files it keeps weights in.

    Raises:
        ClassifierError: not such a graph, or it does not behave as a classifier.
    """
    spec.allow("an ONNX file (normalisation must be inside the graph)", _KEYS)
    path = resolve(spec.name, base)
    graph = _read(path, spec)
    absent = [str(file) for file in graph.external if not file.is_file()]
    if absent:
        raise ClassifierError(
            f"classifier {spec.name}: keeps its weights in {absent[0]}, which is missing"
        )
    output = spec.output or "logits"
    if output in ("topk", "label"):
        raise ClassifierError(f"classifier {spec.name}: an ONNX file cannot have output {output!r}")
    link = check_link(output, spec.link, spec.name)
    labels = spec.read_labels(base)
    probed = probe_source(
        spec.name,
        graph.input_shape,
        output,
        n_labels=None if labels is None else len(labels),
        onnx=path,
        level=spec.probe,
    )
    sha256 = hashlib.sha256()
    for file in (path, *graph.external):
        with open_file(file) as stream:
            while block := stream.read(1 << 20):
                sha256.update(block)
    digest = sha256.hexdigest()
    return Classifier(
        name=spec.name,
        labels=labels or numbered_labels(probed.n_classes),
        input_shape=graph.input_shape,
        digest=digest,
        output=output,
        link=link,
        onnx=path,
        preprocessing="as the graph does",
        source=(path, digest),
    )


def inspect_onnx(spec: ClassifierSpec, base: Path) -> Inspection:
    """Shape and number of classes as the graph declares them."""
    spec.allow("an ONNX file (normalisation must be inside the graph)", _KEYS)
    path = resolve(spec.name, base)
    labels = spec.read_labels(base)
    n_classes = None if labels is None else len(labels)
    if not path.is_file():
        return Inspection(spec.name, spec.input_shape, n_classes, False, f"{path}: no such file")
    graph = _read(path, spec)
    absent = [str(file) for file in graph.external if not file.is_file()]
    return Inspection(
        spec.name,
        graph.input_shape,
        graph.n_classes if n_classes is None else n_classes,
        not absent,
        f"it keeps its weights in {absent[0]}, which is missing" if absent else "",
    )


def _read(path: Path, spec: ClassifierSpec) -> _Graph:
    import onnx

    where = f"classifier {spec.name}"
    if not path.is_file():
        raise ClassifierError(f"{where}: {path}: no such file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's DecodeError has moved between its versions
        line = (str(error).splitlines() or [""])[0]
        raise ClassifierError(f"{where}: {path}: is not an ONNX file ({line})") from error
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    outputs = list(model.graph.output)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ClassifierError(
            f"{where}: has {len(inputs)} inputs and {len(outputs)} outputs;"
            " export it with one of each"
        )
    tensor = inputs[0].type.tensor_type
    sides = _sides(tensor)
    if tensor.elem_type != onnx.TensorProto.FLOAT or len(sides) != 4:
        raise ClassifierError(f"{where}: its input must be float32 N x C x H x W on [0, 1]")
    if sides[0] is not None:
        raise ClassifierError(
            f"{where}: its batch size is fixed at {sides[0]};"
            " export it again with a dynamic first axis"
        )
    ends = _sides(outputs[0].type.tensor_type)
    return _Graph(
        _input_shape(sides[1:], spec),
        ends[1] if len(ends) == 2 else None,
        _external(model, path),
    )


def _input_shape(sides: list[int | None], spec: ClassifierSpec) -> Shape:
    declared = [side for side in sides if side is not None]
    if spec.input_shape is None:
        if len(declared) < 3:
            raise ClassifierError(
                f"classifier {spec.name}: does not say how large its images are;"
                " set input_shape: [channels, height, width]"
            )
        return check_shape(declared, spec.name)
    for side, given in zip(sides, spec.input_shape, strict=True):
        if side not in (None, given):
            raise ClassifierError(
                f"classifier {spec.name}: input_shape {list(spec.input_shape)} is not what the"
                f" graph takes ({', '.join(str(part or 'any') for part in sides)})"
            )
    return spec.input_shape


def _sides(tensor: Any) -> list[int | None]:
    return [
        int(side.dim_value) if side.HasField("dim_value") and side.dim_value > 0 else None
        for side in tensor.shape.dim
    ]


def _external(model: Any, path: Path) -> tuple[Path, ...]:
    """Files beside the graph that hold its larger tensors, in order of name.

    Raises:
        ClassifierError: a graph from anywhere that points out of its folder.
    """
    places = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for place in places:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise ClassifierError(f"{path}: keeps weights outside its folder, at {place!r}")
    return tuple(path.parent / place for place in sorted(places))
