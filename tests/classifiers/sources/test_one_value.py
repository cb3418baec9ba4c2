"""Nets of one logit (`task: binary`) from every source that can have them: tiny, drawn, saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from exported_nets import save
from hugging_face_nets import save as save_hugging_face
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.errors import ClassifierError
from evofool.scoring import Scorer

Logits = Callable[[NDArray[np.uint8]], NDArray[np.floating]]


@dataclass(frozen=True)
class Saved:
    """A net of some number of values per picture, as a config names it without a task.

    Attributes:
        spec: name, and options that it needs.
        logits: what it gives, in float64, for uint8 images N x C x H x W: N x values.
    """

    spec: dict[str, Any]
    logits: Logits


def of_torchvision(values: int, folder: Path) -> Saved:
    from torchvision.models import shufflenet_v2_x0_5

    net = shufflenet_v2_x0_5(weights=None, num_classes=values)
    torch.nn.init.normal_(net.fc.weight, std=200)  # its features are nearly constant
    options = {"input_shape": [3, 32, 32], "mean": [0.5] * 3, "std": [0.25] * 3}
    return _saved("torchvision:shufflenet_v2_x0_5", net, folder, options, (0.5, 0.25))


def of_timm(values: int, folder: Path) -> Saved:
    timm = pytest.importorskip("timm")
    net = timm.create_model("test_vit", pretrained=False, num_classes=values, img_size=(32, 32))
    torch.nn.init.normal_(net.head.weight)
    options = {"input_shape": [3, 32, 32], "mean": [0.5] * 3, "std": [0.25] * 3}
    return _saved("timm:test_vit", net, folder, options, (0.5, 0.25))


def of_an_architecture(values: int, folder: Path) -> Saved:
    from evofool.classifiers.nets.lenet import LeNet

    net = LeNet(n_classes=values)
    return _saved("lenet", net, folder, {"mean": [0.0], "std": [1.0]}, (0.0, 1.0))


def _saved(
    name: str, net: torch.nn.Module, folder: Path, options: dict[str, Any], scale: Any
) -> Saved:
    save_file(net.eval().state_dict(), folder / "net.safetensors")
    mean, std = scale

    def logits(images: NDArray[np.uint8]) -> NDArray[np.floating]:
        with torch.no_grad():
            outputs: torch.Tensor = net((torch.from_numpy(images) / 255 - mean) / std)
        return outputs.double().numpy()

    return Saved({"name": name, "weights": str(folder / "net.safetensors"), **options}, logits)


def of_hugging_face(values: int, folder: Path) -> Saved:
    transformers = pytest.importorskip("transformers")
    names = {index: f"LABEL_{index}" for index in range(values)}
    save_hugging_face("vit", folder / "vit", id2label=names)
    net = transformers.AutoModelForImageClassification.from_pretrained(folder / "vit").eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder / "vit", do_resize=False)

    def logits(images: NDArray[np.uint8]) -> NDArray[np.floating]:
        with torch.no_grad():
            inputs = processor(list(torch.from_numpy(images)), return_tensors="pt")
            outputs: torch.Tensor = net(**inputs).logits
        return outputs.double().numpy()

    return Saved({"name": f"hf:{folder / 'vit'}"}, logits)


def of_onnx(values: int, folder: Path, ends: str = "", shape: str = "n x 1") -> Saved:
    weights = np.random.default_rng(0).normal(size=(48, values)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["matrix"]),
    ]
    last, sides = "matrix", ["n", values]
    if ends:
        nodes.append(helper.make_node(ends, [last], ["ended"]))
        last = "ended"
    if shape == "n":
        nodes.append(helper.make_node("Squeeze", [last, "axes"], ["row"]))
        last, sides = "row", ["n"]
    if shape == "1":
        nodes.append(helper.make_node("Squeeze", [last], ["scalar"]))
        last, sides = "scalar", []
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(
                "x", TensorProto.FLOAT, [1 if shape == "1" else "n", 3, 4, 4]
            )
        ],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, sides)],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "net.onnx"))
    return Saved(
        {"name": str(folder / "net.onnx")},
        lambda images: (images.reshape(len(images), -1) / 255.0) @ weights.astype(np.float64),
    )


SOURCES: dict[str, Callable[[int, Path], Saved]] = {
    "torchvision": of_torchvision,
    "timm": of_timm,
    "architecture": of_an_architecture,
    "hugging-face": of_hugging_face,
    "onnx": of_onnx,
}


def drawn(source: str, values: int, folder: Path) -> Saved:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return SOURCES[source](values, folder)


def sigmoid(z: NDArray[np.floating]) -> NDArray[np.floating]:
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("source", SOURCES)
def test_one_logit_is_no_and_yes(source: str, tmp_path: Path) -> None:
    saved = drawn(source, 1, tmp_path)
    spec = {**saved.spec, "task": "binary", "labels": ["no", "yes"]}
    inspected = inspect_classifier(spec)
    assert (inspected.ready, inspected.n_classes) == (True, 2)
    victim = load_classifier(spec)
    assert victim.labels == ("no", "yes")
    images = np.random.default_rng(1).integers(0, 256, (5, *victim.input_shape), dtype=np.uint8)
    yes = sigmoid(saved.logits(images))
    scorer = Scorer(victim, device="cpu")
    confidence = scorer.confidence(images)
    np.testing.assert_allclose(confidence, np.concatenate([1 - yes, yes], 1), atol=2e-5)
    assert np.ptp(yes) > 1e-3, "the pictures tell nothing apart"
    assert victim.white_box == (source != "onnx")
    if victim.white_box:
        taken = scorer.gradients(images, lambda outputs, _: outputs[:, 1]).values
        assert np.abs(taken).reshape(5, -1).max(1).min() > 0
        assert not scorer.gradients(images, lambda outputs, _: outputs[:, 0]).values.any()


@pytest.mark.parametrize("source", SOURCES)
def test_without_the_task_the_message_names_it(source: str, tmp_path: Path) -> None:
    saved = drawn(source, 1, tmp_path)
    for labels in ({}, {"labels": ["no", "yes"]}):
        with pytest.raises(ClassifierError, match=r"set task: binary, and labels: \[no, yes\]"):
            load_classifier({**saved.spec, **labels})


@pytest.mark.parametrize("source", SOURCES)
def test_a_net_of_two_logits_has_no_such_task(source: str, tmp_path: Path) -> None:
    saved = drawn(source, 2, tmp_path)
    with pytest.raises(ClassifierError, match=r"gives .*2.* leave (it|task: binary) away"):
        load_classifier({**saved.spec, "task": "binary", "labels": ["no", "yes"]})


@pytest.mark.parametrize("shape", ["n x 1", "n", "1"])
@pytest.mark.parametrize("ends", ["", "Sigmoid"])
def test_graphs_of_other_shapes(shape: str, ends: str, tmp_path: Path) -> None:
    """A column, a row, or one picture at once; a graph that ends in a sigmoid gives confidences."""
    saved = of_onnx(1, tmp_path, ends, shape)
    victim = load_classifier({**saved.spec, "task": "binary"})
    assert victim.output == ("probs" if ends else "logits")
    images = np.random.default_rng(1).integers(0, 256, (5, 3, 4, 4), dtype=np.uint8)
    confidence = Scorer(victim, device="cpu").confidence(images)
    np.testing.assert_allclose(confidence[:, 1:], sigmoid(saved.logits(images)), atol=1e-6)


@pytest.mark.parametrize("flat", [False, True])
def test_a_program_without_the_task(flat: bool, tmp_path: Path) -> None:
    layers = [torch.nn.Flatten(), torch.nn.Linear(48, 1), *([torch.nn.Flatten(0)] if flat else [])]
    n = torch.export.Dim("n", min=1, max=64)
    net = torch.nn.Sequential(*layers).eval()
    save(net, tmp_path / "net.pt2", torch.rand(2, 3, 4, 4), {0: n})
    with pytest.raises(ClassifierError, match=r"set task: binary, and labels: \[no, yes\]"):
        load_classifier(str(tmp_path / "net.pt2"))


def test_one_label_is_none(tmp_path: Path) -> None:
    saved = of_onnx(1, tmp_path)
    with pytest.raises(ClassifierError, match=r"1 given.* task: binary, labels: \[no, yes\]"):
        load_classifier({**saved.spec, "labels": ["cat"]})


def test_the_digest_of_a_graph_tells_the_task(tmp_path: Path) -> None:
    saved = of_onnx(1, tmp_path)
    as_logit = load_classifier({**saved.spec, "task": "binary"})
    with pytest.raises(ClassifierError, match="outside"):
        load_classifier({**saved.spec, "task": "binary", "output": "probs"})
    assert as_logit.source is not None
    assert as_logit.digest != as_logit.source[1]


def test_a_model_of_timm_with_one_value_and_its_own_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    timm = pytest.importorskip("timm")
    config = dataclasses.replace(timm.get_pretrained_cfg("test_resnet"), num_classes=1)
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda *_a, **_k: config)
    with pytest.raises(ClassifierError, match="one value per picture; set task: binary"):
        inspect_classifier("timm:test_resnet")
    assert inspect_classifier({"name": "timm:test_resnet", "task": "binary"}).n_classes == 2
