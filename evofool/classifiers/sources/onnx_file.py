"""ONNX graphs as victims: scored by onnxruntime, without gradients."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

from evofool.classifiers.base import Classifier
from evofool.classifiers.build import check_link
from evofool.classifiers.checks.probe import probe_source
from evofool.classifiers.labels import numbered_labels
from evofool.classifiers.sources.onnx_feed import OnnxFeed
from evofool.classifiers.sources.onnx_graph import Graph, read_graph
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.classifiers.tasks import check_binary
from evofool.errors import ClassifierError
from evofool.files import open_file

_KEYS = ("input_shape", "labels", "output", "link", "onnx", "probe", "task")


def load_onnx(spec: ClassifierSpec, base: Path) -> Classifier:
    """An ONNX file: one input, images on [0, 1] or uint8, and an output N x classes.

    Layout, number type, fixed batch and the output with the scores are read from the graph, and
    from ``onnx: {layout, output_name, fixed_batch}`` where it leaves them open. A graph that ends
    in a softmax gives ``probs``. The digest is the sha256 over the file and the files it keeps
    weights in, and over options that differ from the graph.

    Raises:
        ClassifierError: not such a graph, or it does not behave as a classifier.
    """
    spec.allow("an ONNX file (normalisation must be inside the graph)", _KEYS)
    path = resolve(spec.name, base)
    graph = read_graph(path, spec)
    absent = [str(file) for file in graph.external if not file.is_file()]
    if absent:
        raise ClassifierError(
            f"classifier {spec.name}: keeps its weights in {absent[0]}, which is missing"
        )
    output = spec.output or graph.ends
    if output in ("topk", "label"):
        raise ClassifierError(f"classifier {spec.name}: an ONNX file cannot have output {output!r}")
    if output == "logits" and graph.ends is not None:
        raise ClassifierError(
            f"classifier {spec.name}: output: the graph ends in {graph.operator}, so it gives"
            f" {graph.ends}, not logits; leave output out, or set {graph.ends}"
        )
    feed = graph.feed
    if spec.task == "binary":
        check_binary(output, spec.link, spec.name)
        feed = replace(feed, binary="probs" if output == "probs" else "logits")
    if output is not None:
        check_link(output, spec.link, spec.name)
    labels = spec.read_labels(base)
    try:
        probed = probe_source(
            spec.name,
            graph.input_shape,
            output,
            n_labels=None if labels is None else len(labels),
            onnx=path,
            level=spec.probe,
            feed=feed,
        )
    except ClassifierError as error:
        raise ClassifierError(
            f"{error} (run with {graph.feed}; onnx: {{layout, output_name, fixed_batch}} says"
            " otherwise)"
        ) from error
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
        digest=_with_options(digest, graph, feed),
        output=probed.output,
        link=check_link(probed.output, spec.link, spec.name),
        onnx=path,
        feed=feed,
        preprocessing="like the graph",
        source=(path, digest),
    )


def _with_options(digest: str, graph: Graph, feed: OnnxFeed) -> str:
    if feed == graph.guessed:
        return digest
    options = asdict(feed)
    for key in ("binary", "head"):  # digests are as they were before there were such graphs
        if options[key] is None:
            del options[key]
    return hashlib.sha256(f"{digest} {options}".encode()).hexdigest()


def inspect_onnx(spec: ClassifierSpec, base: Path) -> Inspection:
    """Shape and number of classes as the graph declares them."""
    spec.allow("an ONNX file (normalisation must be inside the graph)", _KEYS)
    path = resolve(spec.name, base)
    labels = spec.read_labels(base)
    n_classes = None if labels is None else len(labels)
    if not path.is_file():
        return Inspection(spec.name, spec.input_shape, n_classes, False, f"{path}: no such file")
    graph = read_graph(path, spec)
    absent = [str(file) for file in graph.external if not file.is_file()]
    return Inspection(
        spec.name,
        graph.input_shape,
        (2 if spec.task == "binary" else graph.n_classes) if n_classes is None else n_classes,
        not absent,
        f"it keeps its weights in {absent[0]}, which is missing" if absent else "",
    )
