"""Programs of `torch.export` as victims: ``path/to/file.pt2``, with gradients."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.classifiers.base import Classifier
from evofool.classifiers.build import check_shape, from_module
from evofool.classifiers.checks.answers import ONE_VALUE
from evofool.classifiers.sources.pt2_archive import checked_program
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError
from evofool.files import is_file, reason
from evofool.images import Shape

if TYPE_CHECKING:
    import torch

    from evofool.classifiers.nets.exported import ExportedNet

SUFFIX = ".pt2"
_KEYS = ("input_shape", "labels", "output", "link", "mean", "std", "probe", "task")
_OWN = "load it in a file of your own: path/to/file.py:function"


@dataclass(frozen=True)
class _Interface:
    """What a program takes and gives.

    Attributes:
        shape: channels, height, width.
        dtype: of the images.
        least: fewest images at once.
        most: most images at once, None for any number.
        output: which result holds the scores.
    """

    shape: Shape
    dtype: torch.dtype
    least: int
    most: int | None
    output: int


def load_pt2(spec: ClassifierSpec, base: Path) -> Classifier:
    """A program that `torch.export.save` wrote: one batch of images in, N x classes out.

    The size of the input and how many images it takes at once are read from the program; batches
    of another length are split and filled up. The digest is the sha256 of the file, and of what
    the config says against it.

    Raises:
        ClassifierError: damaged, refused as unsafe, of another task, or it does not behave as a
            classifier.
    """
    spec.allow("a program of torch.export", _KEYS)
    path = resolve(spec.name, base)
    if not is_file(path):
        raise ClassifierError(f"classifier {spec.name}: {path}: no such file")
    checked = checked_program(path, spec.name)
    program = _program(checked.archive, spec.name)
    interface = _interface(program, spec)
    victim = from_module(
        _net(program, interface, spec.name),
        input_shape=interface.shape,
        name=spec.name,
        labels=spec.read_labels(base),
        output=spec.output,
        link=spec.link,
        mean=spec.mean,
        std=spec.std,
        preprocessing=None if spec.mean or spec.std else "as the program does",
        source=(path, checked.sha256),
        keep=True,
        probe=spec.probe or "full",
        task=spec.task,
    )
    return dataclasses.replace(
        victim, digest=_with_options(checked.sha256, spec), old_digest=None, opaque=()
    )


def inspect_pt2(spec: ClassifierSpec, base: Path) -> Inspection:
    """What the spec says, and whether the file is there; it is not read."""
    spec.allow("a program of torch.export", _KEYS)
    path = resolve(spec.name, base)
    labels = spec.read_labels(base)
    missing = "" if is_file(path) else f"{path}: no such file"
    n_classes = None if labels is None else len(labels)
    return Inspection(spec.name, spec.input_shape, n_classes, not missing, missing)


def _program(archive: Any, name: str) -> Any:
    import torch

    # it would print what it was about to read, with the whole stack, and raise all the same
    noisy = [logging.getLogger(each) for each in ("torch.export", "torch._export")]
    before = [logger.level for logger in noisy]
    try:
        for logger in noisy:
            logger.setLevel(logging.CRITICAL)
        return torch.export.load(archive)
    except Exception as error:  # a damaged program gives errors of a dozen types
        raise ClassifierError(
            f"classifier {name}: this torch ({torch.__version__}) cannot read the program"
            f" ({reason(error)}); export it again with this one"
        ) from error
    finally:
        for logger, level in zip(noisy, before, strict=True):
            logger.setLevel(level)


def _interface(program: Any, spec: ClassifierSpec) -> _Interface:
    where = f"classifier {spec.name}"
    signature = program.graph_signature
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    changes = any(kind.kind.name != "USER_OUTPUT" for kind in signature.output_specs)
    if changes or any(map(_trains, program.graph.nodes)):
        raise ClassifierError(
            f"{where}: was exported in training mode (dropout, statistics of the batch); call"
            " eval() on the net and export it again"
        )
    taken: list[Any] = [values.get(name) for name in signature.user_inputs]
    sizes: Sequence[Any] = getattr(taken[0], "shape", ()) if len(taken) == 1 else ()
    kinds = ("float32", "float64", "float16", "bfloat16", "uint8")
    kind = str(getattr(taken[0], "dtype", "")).removeprefix("torch.") if sizes else ""
    if len(sizes) != 4 or kind not in kinds:
        raise ClassifierError(
            f"{where}: takes {_told(taken)}, not one batch of images N x C x H x W; is it a net for"
            f" another task? Export a classifier of images, or {_OWN}"
        )
    least, most = _batch(program, sizes[0])
    given: list[Any] = [values.get(name) for name in signature.user_outputs]
    dimensions = (1, 2) if spec.task == "binary" else (2,)
    fitting = [
        index
        for index, value in enumerate(given)
        if len(getattr(value, "shape", ())) in dimensions and str(value.shape[0]) == str(sizes[0])
    ]
    if len(fitting) != 1 and len(given) == 1 and len(getattr(given[0], "shape", ())) == 1:
        raise ClassifierError(f"{where}: gives one value per picture; {ONE_VALUE}")
    if len(fitting) != 1:
        raise ClassifierError(
            f"{where}: gives {_told(given)}, not one matrix N x classes; is it a net for another"
            f" task (detection, segmentation, features)? Export a classifier, or {_OWN}"
        )
    return _Interface(_shape(sizes[1:], spec), taken[0].dtype, least, most, fitting[0])


def _trains(node: Any) -> bool:
    """Whether an operator is told to drop activations or to take statistics of the batch."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(
        argument.name in ("train", "training") and value is True
        for argument, value in zip(schema.arguments, node.args, strict=False)
    )


def _batch(program: Any, size: Any) -> tuple[int, int | None]:
    """Fewest and most images at once."""
    if isinstance(size, int):
        return size, size
    constraint = program.range_constraints.get(size.node.expr)
    if constraint is None:
        return 1, None
    upper = constraint.upper
    return max(1, int(constraint.lower)), int(upper) if upper.is_Integer else None


def _shape(sizes: Any, spec: ClassifierSpec) -> Shape:
    """Channels, height and width: the program's, or the spec's where the program leaves them open.

    Raises:
        ClassifierError: the spec contradicts the program, or neither says it.
    """
    own = tuple(size if isinstance(size, int) else None for size in sizes)
    if spec.input_shape is None:
        if None in own:
            raise ClassifierError(
                f"classifier {spec.name}: input_shape: is missing, and the program takes images of"
                " many sizes; set [channels, height, width]"
            )
        return check_shape([size for size in own if size is not None], spec.name)
    if any(mine not in (None, theirs) for mine, theirs in zip(own, spec.input_shape, strict=True)):
        shown = " x ".join("any" if size is None else str(size) for size in own)
        raise ClassifierError(
            f"classifier {spec.name}: input_shape: the program takes {shown}, not"
            f" {' x '.join(map(str, spec.input_shape))}"
        )
    return check_shape(spec.input_shape, spec.name)


def _told(values: list[Any]) -> str:
    """Tensors by their sizes, for people."""
    texts = []
    for value in values:
        shape = getattr(value, "shape", None)
        if shape is None:
            texts.append("a number" if value is not None else "nothing")
            continue
        sizes = " x ".join(str(n) if isinstance(n, int) else "n" for n in shape) or "a scalar"
        texts.append(f"{str(value.dtype).removeprefix('torch.')} {sizes}")
    return ", ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


def _net(program: Any, interface: _Interface, name: str) -> ExportedNet:
    import torch

    from evofool.classifiers.nets.exported import ExportedNet

    tensors = {**program.constants, **program.state_dict}
    specs = [each for each in program.graph_signature.input_specs if each.kind.name != "USER_INPUT"]
    try:
        held = [tensors[each.target] for each in specs]
    except KeyError as error:
        raise ClassifierError(f"classifier {name}: its tensor {error} is missing") from error
    for each, tensor in zip(specs, held, strict=True):
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ClassifierError(
                f"classifier {name}: its tensor {str(each.target)[:100]} repeats a smaller one, and"
                " may claim any size; export the net with plain weights"
            )
    graph = program.graph_module
    plain = {
        torch.ops.aten.lift_fresh_copy.default: torch.ops.aten.clone.default,
        torch.ops.aten.detach_.default: torch.ops.aten.detach.default,
    }  # what export makes of torch.tensor(...), for which ONNX has no words
    for node in graph.graph.nodes:
        node.target = plain.get(node.target, node.target)
    graph.recompile()
    return ExportedNet(
        graph, held, interface.output, interface.dtype, interface.least, interface.most
    )


def _with_options(digest: str, spec: ClassifierSpec) -> str:
    options = {key: getattr(spec, key) for key in ("input_shape", "mean", "std", "output")}
    if spec.task == "binary":
        options["task"] = spec.task
    if all(value is None for value in options.values()):
        return digest
    return hashlib.sha256(f"{digest} {json.dumps(options)}".encode()).hexdigest()
