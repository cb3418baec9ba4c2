"""What can be read from an ONNX file: how it takes its images, and what its outputs are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.classifiers.base import Output
from evofool.classifiers.build import check_shape
from evofool.classifiers.sources.onnx_feed import OnnxFeed
from evofool.classifiers.spec import ClassifierSpec
from evofool.errors import ClassifierError
from evofool.files import read_file
from evofool.images import Shape

_ENDS: dict[str, Output] = {"Softmax": "probs", "Sigmoid": "probs", "LogSoftmax": "log_probs"}
_PASS = ("Identity", "Cast", "Squeeze", "Unsqueeze", "Flatten", "Reshape")
"""Operators that change no score."""


@dataclass(frozen=True)
class Graph:
    """What was read, and guessed from it.

    Attributes:
        input_shape: channels, height, width.
        n_classes: as declared, else None.
        feed: how it is run.
        guessed: what `feed` would be without any option.
        ends: what the scores are according to the last operator, None if it does not determine
            that.
        operator: the name of that operator.
        external: files beside the graph that hold its larger tensors, in order of name.
    """

    input_shape: Shape
    n_classes: int | None
    feed: OnnxFeed
    guessed: OnnxFeed | None
    ends: Output | None
    operator: str
    external: tuple[Path, ...]


def read_graph(path: Path, spec: ClassifierSpec) -> Graph:
    """The graph of a file, without its weights.

    Raises:
        ClassifierError: no ONNX file, or none that takes images and gives scores; the message
            names the option that supplies what the graph leaves open.
    """
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
    if len(inputs) != 1 or not model.graph.output:
        names = ", ".join(_named(value) for value in inputs) or "none"
        raise ClassifierError(
            f"{where}: must have one input, the images, and at least one output; its inputs are"
            f" {names}"
        )
    tensor = inputs[0].type.tensor_type
    kinds = {
        onnx.TensorProto.FLOAT: "float32",
        onnx.TensorProto.DOUBLE: "float64",
        onnx.TensorProto.FLOAT16: "float16",
        onnx.TensorProto.UINT8: "uint8",
    }
    sides = _sides(tensor)
    dtype: Any = kinds.get(tensor.elem_type)
    if dtype is None or len(sides) != 4:
        raise ClassifierError(
            f"{where}: its input must be N x C x H x W (or N x H x W x C), float32, float64 or"
            f" float16 on [0, 1] or uint8; it is {_named(inputs[0])}"
        )
    options = spec.onnx
    layout = (options.layout if options else None) or _layout(sides, spec)
    if layout == "nhwc":
        sides = [sides[0], sides[3], sides[1], sides[2]]
    batch = _fixed_batch(sides[0], spec)
    guess = _scores(model.graph, (1, 2) if spec.task == "binary" else (2,))
    output = _output(model.graph, guess, spec)
    several = len(model.graph.output) > 1
    operator, _ = _made_by(model.graph, output.name)
    ends = _sides(output.type.tensor_type)
    guessed = None
    if guess is not None:
        guessed = OnnxFeed(
            _layout(_sides(tensor), spec), dtype, guess.name if several else None, sides[0]
        )
    return Graph(
        _input_shape(sides[1:], layout, spec),
        ends[1] if len(ends) == 2 else None,
        OnnxFeed(layout, dtype, output.name if several else None, batch),
        guessed,
        _ENDS.get(operator),
        operator,
        _external(model, path),
    )


def _layout(sides: Sequence[int | None], spec: ClassifierSpec) -> Any:
    """Channels last where only the last side can be a number of channels, else channels first."""
    colours = (1, 3)
    if sides[3] in colours and sides[1] not in (*colours, None):
        return "nhwc"
    if sides[1] is None and sides[3] in colours and spec.input_shape is not None:
        channels, _, width = spec.input_shape
        return "nhwc" if sides[3] == channels != width else "nchw"
    if sides[1] is None and sides[3] in colours:
        return "nhwc"
    return "nchw"


def _fixed_batch(declared: int | None, spec: ClassifierSpec) -> int | None:
    given = None if spec.onnx is None else spec.onnx.fixed_batch
    if given is not None and declared not in (None, given):
        raise ClassifierError(
            f"classifier {spec.name}: onnx.fixed_batch is {given}, but the graph takes {declared}"
            " images at once"
        )
    return declared if given is None else given


def _output(graph: Any, guess: Any, spec: ClassifierSpec) -> Any:
    given = None if spec.onnx is None else spec.onnx.output_name
    names = ", ".join(_named(value) for value in graph.output)
    if given is not None:
        chosen = next((value for value in graph.output if value.name == given), None)
        if chosen is None:
            raise ClassifierError(
                f"classifier {spec.name}: onnx.output_name: there is no output {given!r};"
                f" there are {names}"
            )
        return chosen
    if guess is None:
        raise ClassifierError(
            f"classifier {spec.name}: has {len(graph.output)} outputs: {names}; say which one"
            f" holds the scores: onnx: {{output_name: {graph.output[0].name}}}"
        )
    return guess


def _scores(graph: Any, dimensions: tuple[int, ...]) -> Any:
    """The only output that can be scores, with so many `dimensions`; None where several can."""
    import onnx

    if len(graph.output) == 1:
        return graph.output[0]
    real = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    matrices = []
    for value in graph.output:
        tensor = value.type.tensor_type
        matrix = not tensor.HasField("shape") or len(_sides(tensor)) in dimensions
        if matrix and tensor.elem_type in real:
            matrices.append(value)
    if len(matrices) == 1:
        return matrices[0]
    for one in matrices:
        operator, before = _made_by(graph, one.name)
        others = [value for value in matrices if value is not one]
        if operator in ("Softmax", "Sigmoid") and [v.name for v in others] == [before]:
            return others[0]  # logits, and their softmax or sigmoid beside them
    return None


def _made_by(graph: Any, name: str) -> tuple[str, str]:
    """The operator that makes a tensor, past those that change no value, and its first input."""
    nodes = {output: node for node in graph.node for output in node.output}
    for _ in range(len(nodes)):
        node = nodes.get(name)
        if node is None:
            break
        before = node.input[0] if node.input else ""
        if node.op_type not in _PASS:
            return str(node.op_type), str(before)
        name = before
    return "", ""


def _input_shape(sides: Sequence[int | None], layout: str, spec: ClassifierSpec) -> Shape:
    declared = [side for side in sides if side is not None]
    if spec.input_shape is None:
        if len(declared) < 3:
            raise ClassifierError(
                f"classifier {spec.name}: does not say how large its images are; set"
                " input_shape: [channels, height, width]"
            )
        if declared[0] not in (1, 3):
            raise ClassifierError(
                f"classifier {spec.name}: read as {layout.upper()}, its images have"
                f" {declared[0]} channels ({declared[1]} x {declared[2]} pixels), but must have"
                f" 1 or 3; say where the channels are: onnx: {{layout: nchw}} or {{layout:"
                f" nhwc}}"
            )
        return check_shape(declared, spec.name)
    for side, given in zip(sides, spec.input_shape, strict=True):
        if side not in (None, given):
            raise ClassifierError(
                f"classifier {spec.name}: input_shape {list(spec.input_shape)} is not what the"
                f" graph takes ({', '.join(str(part or 'any') for part in sides)} as channels,"
                f" height, width, read as {layout.upper()}; onnx: {{layout: ...}} says otherwise)"
            )
    return spec.input_shape


def _named(value: Any) -> str:
    import onnx

    tensor = value.type.tensor_type
    by = " x ".join("n" if side is None else str(side) for side in _sides(tensor)) or "any shape"
    return f"{value.name} ({onnx.TensorProto.DataType.Name(tensor.elem_type).lower()}, {by})"


def _sides(tensor: Any) -> list[int | None]:
    return [
        int(side.dim_value) if side.HasField("dim_value") and side.dim_value > 0 else None
        for side in tensor.shape.dim
    ]


def graph_bytes(path: Path) -> bytes:
    """A graph in one piece, with the tensors that lie in files beside it.

    Raises:
        OSError: a file cannot be read.
    """
    import onnx

    if not _external(onnx.load(str(path), load_external_data=False), path):
        return read_file(path)
    whole: bytes = onnx.load(str(path)).SerializeToString()
    return whole


def _external(model: Any, path: Path) -> tuple[Path, ...]:
    """Files beside the graph that hold its larger tensors, in order of name.

    Raises:
        ClassifierError: a graph from anywhere that points out of its folder.
    """
    places = {
        entry.value
        for graph in (model.graph, *model.functions)
        for tensor in _tensors(graph)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for place in places:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise ClassifierError(f"{path}: keeps weights outside its folder, at {place!r}")
    return tuple(path.parent / place for place in sorted(places))


def _tensors(graph: Any) -> Iterator[Any]:
    """Initial values and constants of a graph, of its functions and of the graphs inside it."""
    yield from getattr(graph, "initializer", ())
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)
