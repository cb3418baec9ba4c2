"""ONNX graphs as other tools export them: batches of one, channels last, uint8, half precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.classifiers.sources.onnx_feed import OnnxFeed
from evofool.errors import ClassifierError, ScoringError
from evofool.scoring import Scorer

SIDES = {"nchw": (3, 8, 6), "nhwc": (8, 6, 3)}
WEIGHTS = np.random.default_rng(0).normal(size=(3, 8, 6, 4)).astype(np.float32) / 8
IMAGES = np.random.default_rng(1).integers(0, 256, (5, 3, 8, 6), dtype=np.uint8)
LOGITS = np.einsum("nchw,chwk->nk", IMAGES / 255, WEIGHTS)
Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Writes a linear net whose logits of `IMAGES` are `LOGITS`, exported in some way."""

    def write(
        *,
        layout: str = "nchw",
        kind: int = TensorProto.FLOAT,
        batch: int | str = "n",
        inside: int | None = None,
        ends: tuple[str, ...] = (),
        beside: tuple[str, ...] = (),
        first: bool = True,
    ) -> Path:
        sides = SIDES[layout]
        axes = (0, 1, 2, 3) if layout == "nchw" else (1, 2, 0, 3)
        weights = WEIGHTS.transpose(axes).reshape(-1, 4)
        half = kind == TensorProto.FLOAT16
        if half:
            weights = weights.astype(np.float16)
        rows = inside or 0
        constants = [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(np.array([rows, -1], np.int64), "rows"),
            numpy_helper.from_array(np.array(1 / 255, np.float32), "level"),
        ]
        nodes = []
        last = "x"
        if kind == TensorProto.UINT8:
            nodes = [
                helper.make_node("Cast", ["x"], ["real"], to=TensorProto.FLOAT),
                helper.make_node("Mul", ["real", "level"], ["scaled"]),
            ]
            last = "scaled"
        nodes += [
            helper.make_node("Reshape", [last, "rows"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        ]
        last = "logits"
        for operator in ends:
            name = operator.lower()
            options: dict[str, Any] = {"axis": 1} if "Softmax" in operator else {}
            nodes.append(helper.make_node(operator, [last], [name], **options))
            last = name
        outputs = [(last, TensorProto.FLOAT16 if half else TensorProto.FLOAT, [batch, 4])]
        for name in beside:
            if name == "features":
                nodes.append(helper.make_node("Neg", ["flat"], ["features"]))
                outputs.append(("features", TensorProto.FLOAT, [batch, 144]))
            elif name == "label":
                nodes.append(helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0))
                outputs.append(("label", TensorProto.INT64, [batch]))
            else:
                outputs.append((name, TensorProto.FLOAT, [batch, 4]))
        if not first:
            outputs.reverse()
        graph = helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("x", kind, [batch, *sides])],
            [helper.make_tensor_value_info(*output) for output in outputs],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        path = tmp_path / "net.onnx"
        onnx.save(model, str(path))
        return path

    return write


def log_odds(spec: object, images: NDArray[Any] = IMAGES) -> NDArray[np.float64]:
    with Scorer(load_classifier(spec), batch=3, workers=2) as scorer:  # type: ignore[arg-type]
        return scorer.score(images).log_odds


def expected(logits: NDArray[np.floating] = LOGITS) -> NDArray[np.floating]:
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.log(shares / (1 - shares))


@pytest.mark.parametrize(
    ("how", "feed"),
    [
        ({}, OnnxFeed()),
        ({"layout": "nhwc"}, OnnxFeed("nhwc")),
        ({"kind": TensorProto.UINT8}, OnnxFeed("nchw", "uint8")),
        ({"kind": TensorProto.UINT8, "layout": "nhwc"}, OnnxFeed("nhwc", "uint8")),
        ({"kind": TensorProto.FLOAT16}, OnnxFeed("nchw", "float16")),
        ({"batch": 1}, OnnxFeed(fixed_batch=1)),
        ({"batch": 1, "inside": 1}, OnnxFeed(fixed_batch=1)),
        ({"batch": 4, "inside": 4}, OnnxFeed(fixed_batch=4)),
        ({"layout": "nhwc", "batch": 1, "inside": 1}, OnnxFeed("nhwc", fixed_batch=1)),
        ({"beside": ("label",)}, OnnxFeed(output_name="logits")),
        ({"beside": ("label",), "first": False}, OnnxFeed(output_name="logits")),
        ({"ends": ("Softmax",), "beside": ("logits",)}, OnnxFeed(output_name="logits")),
    ],
)
def test_what_the_graph_says_needs_no_option(
    export: Export, how: dict[str, Any], feed: OnnxFeed
) -> None:
    path = export(**how)
    victim = load_classifier(str(path))
    assert victim.feed == feed
    assert victim.input_shape == (3, 8, 6)
    assert victim.output == "logits"
    assert victim.source == (path, victim.digest)
    inspected = inspect_classifier(str(path))
    assert (inspected.input_shape, inspected.n_classes) == ((3, 8, 6), 4)
    exact = 2e-2 if "float16" in feed.dtype else 1e-4
    assert np.abs(log_odds(str(path)) - expected()).max() <= exact


@pytest.mark.parametrize(
    ("ends", "output", "link"),
    [
        (("Softmax",), "probs", "identity"),
        (("Softmax", "Identity"), "probs", "identity"),
        (("LogSoftmax",), "log_probs", "softmax"),
        (("Sigmoid",), "probs", "identity"),
    ],
)
def test_a_softmax_inside(export: Export, ends: tuple[str, ...], output: str, link: str) -> None:
    path = export(ends=ends)
    victim = load_classifier(str(path))
    assert (victim.output, victim.link) == (output, link)
    if ends[0] != "Sigmoid":
        assert np.abs(log_odds(str(path)) - expected()).max() <= 1e-3
    with pytest.raises(ClassifierError, match=f"ends in {ends[0]}, so it gives {output}"):
        load_classifier({"name": str(path), "output": "logits"})


def test_which_of_two_outputs(export: Export) -> None:
    path = export(beside=("features",))
    with pytest.raises(ClassifierError, match=r"has 2 outputs: .*output_name: logits"):
        load_classifier(str(path))
    spec = {"name": str(path), "onnx": {"output_name": "logits"}}
    assert np.abs(log_odds(spec) - expected()).max() <= 1e-4
    other = load_classifier({"name": str(path), "onnx": {"output_name": "features"}})
    assert other.n_classes == 144
    assert other.digest != load_classifier(spec).digest


def test_a_batch_of_one_that_only_the_inside_of_the_graph_knows(export: Export) -> None:
    path = export(batch="n", inside=1)
    with pytest.raises(ClassifierError, match=r"onnx: \{layout, output_name, fixed_batch\} says"):
        load_classifier(str(path))
    spec = {"name": str(path), "onnx": {"fixed_batch": 1}}
    assert np.abs(log_odds(spec) - expected()).max() <= 1e-4


@pytest.mark.parametrize("sides", [(36, 4), (1, 36, 4)])
def test_boxes_are_no_classes(tmp_path: Path, sides: tuple[int, ...]) -> None:
    """Of a detector for one image: rows that are no images were taken for scores once."""
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "sides"], ["boxes"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 6])],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, sides)],
        [numpy_helper.from_array(np.array(sides, np.int64), "sides")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "net.onnx"))
    with pytest.raises(ClassifierError, match=r"36 x 4 for .*detection"):
        load_classifier(str(tmp_path / "net.onnx"))


def test_an_option_against_the_graph(export: Export) -> None:
    path = export(batch=4, inside=4)
    with pytest.raises(ClassifierError, match="fixed_batch is 1, but the graph takes 4 images"):
        load_classifier({"name": str(path), "onnx": {"fixed_batch": 1}})


def test_an_option_that_says_what_the_graph_says_is_the_same_victim(export: Export) -> None:
    path = export(layout="nhwc")
    spec = {"name": str(path), "onnx": {"layout": "nhwc"}}
    assert load_classifier(spec).digest == load_classifier(str(path)).digest


def test_bytes_are_only_given_pictures(export: Export) -> None:
    victim = load_classifier(str(export(kind=TensorProto.UINT8)))
    with Scorer(victim) as scorer:
        on_lattice = (IMAGES / np.float32(255)).astype(np.float32)
        assert np.array_equal(scorer.score(on_lattice).log_odds, scorer.score(IMAGES).log_odds)
        with pytest.raises(ScoringError, match="round the images to k/255"):
            scorer.score(np.full((1, 3, 8, 6), 0.3, np.float32))


def test_constants_kept_beside_the_graph_count(tmp_path: Path) -> None:
    """Those of nodes, which are no initial values."""
    values = numpy_helper.from_array(WEIGHTS.reshape(-1, 4), "w")
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"], axis=1),
            helper.make_node("Constant", [], ["w"], value=values),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
    )
    path = tmp_path / "net.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(
        model,
        str(path),
        save_as_external_data=True,
        location="net.data",
        size_threshold=0,
        convert_attribute=True,
    )
    before = load_classifier(str(path)).digest
    beside = tmp_path / "net.data"
    beside.write_bytes((WEIGHTS.reshape(-1, 4) * 2).tobytes())
    assert load_classifier(str(path)).digest != before
