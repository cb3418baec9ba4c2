"""Every bad input is one ClassifierError that names the victim or the key, and the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto
from torch import nn

from evofool.classifiers import (
    Classifier,
    from_module,
    from_predict,
    inspect_classifier,
    load_classifier,
    probe,
    with_crops,
)
from evofool.classifiers.nets.architectures import build_architecture
from evofool.errors import ClassifierError, UsageError

SHAPE = (3, 8, 8)


def test_it_is_a_usage_error() -> None:
    assert issubclass(ClassifierError, UsageError)
    assert ClassifierError.exit_code == 2


SPECS: list[tuple[object, str]] = [
    ("nonsense", "nonsense: unknown; known: mnist-lenet"),
    (".", "is a folder; name a model of Hugging Face hf:., and a CLIP"),
    ("net.pth", r"is a file of weights; name the net .*torchvision:NAME, weights: net.pth"),
    ("", "name: "),
    (3, "must be a name or a mapping"),
    (["mnist-lenet"], "must be a name or a mapping"),
    ({}, "name: is missing"),
    ({"name": "mnist-lenet", "wieghts": "x"}, "wieghts: unknown key; did you mean .weights.\\?"),
    ({"name": "mnist-lenet", "crops": 5}, "crops: must be one of 1, 10, not 5"),
    ({"name": "mnist-lenet", "crops": True}, "crops: "),
    ({"name": "mnist-lenet", "input_shape": [1, 28, 28]}, "input_shape cannot be set"),
    ({"name": "mnist-lenet", "weights": "x.pth"}, "weights cannot be set.*allowed: crops"),
    ({"name": "mnist-lenet", "labels": ["a", "b"]}, "10 classes but has 2 labels"),
    ({"name": "mnist-lenet", "labels": ["a"]}, "two classes"),
    ({"name": "mnist-lenet", "labels": ["a", " "]}, "entry 1 is ' '"),
    ({"name": "mnist-lenet", "labels": "absent.txt"}, "absent.txt: cannot be read"),
    ({"name": "lenet"}, "without weights; .*mnist-lenet"),
    ({"name": "lenet", "weights": "absent.pth"}, "no such file"),
    ({"name": "lenet", "weights": "w.pth", "input_shape": [2, 28, 28]}, "input_shape: "),
    ({"name": "lenet", "weights": "w.pth", "input_shape": [1, 28]}, "input_shape: "),
    ({"name": "lenet", "weights": "w.pth", "input_shape": [1, 0, 28]}, r"input_shape\[1\]: "),
    ({"name": "lenet", "weights": "w.pth", "std": [0.0]}, "std: must be above 0"),
    ({"name": "lenet", "weights": "w.pth", "mean": [float("nan")]}, r"mean\[0\]: .*finite"),
    (
        {"name": "lenet", "weights": "w.pth", "mean": [0.1, 0.2]},
        "mean: must be one number or three",
    ),
    ({"name": "lenet", "weights": "w.pth", "output": "scores"}, "output: "),
    ({"name": "lenet", "weights": "w.pth", "link": "none"}, "link: "),
    (
        {"name": "efficientnet-lite0", "weights": "w.pth", "input_shape": [3, 32, 32]},
        "takes .3, 224, 224. only",
    ),
    ("victim.py", "path/to/file.py:function"),
    ("victim.py:", "path/to/file.py:function"),
    ("victim.py:1x", "path/to/file.py:function"),
    ("absent.py:make", "absent.py: no such file"),
    ("absent.onnx", "absent.onnx: no such file"),
    (
        {"name": "absent.onnx", "onnx": {"lay": "nhwc"}},
        "onnx.lay: unknown .*mean .layout.",
    ),
    ({"name": "absent.onnx", "onnx": {"layout": "hwc"}}, "onnx.layout: must be one of nchw, nhwc"),
    ({"name": "absent.onnx", "onnx": {"fixed_batch": 0}}, "onnx.fixed_batch: "),
    ({"name": "mnist-lenet", "onnx": {"layout": "nhwc"}}, "onnx cannot be set for a bundled"),
    ({"name": "absent.onnx", "mean": [0.5]}, "mean cannot be set.*inside the graph"),
]


@pytest.mark.parametrize(("spec", "message"), SPECS)
def test_specs(spec: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier(spec, base=tmp_path)


@pytest.mark.parametrize(("spec", "message"), [entry for entry in SPECS if "set" in entry[1]])
def test_inspection_finds_the_same(spec: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=message):
        inspect_classifier(spec, base=tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("l.json", "{", "is not JSON"),
        ("l.json", '"abc"', "must hold a list"),
        ("l.json", '{"0": "a", "2": "b"}', '"0" to "1", but \'1\' is missing'),
        ("l.json", '["a", null]', "entry 1 is None"),
        ("l.json", "[" * 100_000, "is not JSON"),
        ("l.txt", "a\n\nb\n", "entry 1 is ''"),
        ("l.txt", "", "two classes"),
    ],
)
def test_label_files(file: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(ClassifierError, match=message):
        load_classifier({"name": "mnist-lenet", "labels": file}, base=tmp_path)


def test_label_file_of_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClassifierError, match="is not UTF-8"):
        load_classifier({"name": "mnist-lenet", "labels": "l.txt"}, base=tmp_path)


def test_architecture_too_small() -> None:
    with pytest.raises(ClassifierError, match="cannot take"):
        build_architecture("lenet", (1, 28, 12), 10)
    with pytest.raises(ClassifierError, match="unknown; known: lenet"):
        build_architecture("vgg", (1, 28, 28), 10)


class Returns(nn.Module):
    """Gives what `make` makes of the images."""

    def __init__(self, make: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.make = make

    def forward(self, images: torch.Tensor) -> object:
        return self.make(images)


def flat(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1)[:, :4]


OUTPUTS: list[tuple[Callable[[torch.Tensor], object], dict[str, Any], str]] = [
    (lambda x: (flat(x), 1), {}, "gives a tuple"),
    (lambda x: {"logits": flat(x)}, {}, "gives a dict"),
    (lambda x: [flat(x)], {}, "gives 1 x 3 x 4 for 3 images"),
    (lambda x: None, {}, "not a matrix of numbers|gives object"),
    (lambda x: "abc", {}, "not a matrix of numbers"),
    (lambda x: x, {}, "gives 3 x 3 x 8 x 8 for 3 images"),
    (lambda x: flat(x)[:1], {}, "gives 1 x 4 for 3 images"),
    (lambda x: flat(x)[:, :1], {}, "at least two classes"),
    (lambda x: flat(x)[:, 0], {}, "gives 3 for 3 images"),
    (lambda x: flat(x).sum(), {}, "gives a scalar"),
    (lambda x: flat(x) / 0, {}, "NaN or infinite"),
    (lambda x: torch.log(flat(x) - flat(x)), {}, "NaN or infinite"),
    (lambda x: flat(x) + torch.rand(()), {}, "different values .* second time"),
    (lambda x: flat(x) + x.mean(), {}, "depends on the other images"),
    (lambda x: flat(x) > 0.5, {"output": "label"}, "a module cannot have output"),
    (lambda x: flat(x) * 5, {"output": "probs"}, "outside \\[0, 1\\]"),
    (lambda x: flat(x) - 0.5, {"output": "probs"}, "outside \\[0, 1\\]"),
    (flat, {"output": "log_probs"}, "above 0"),
    (flat, {"output": "probs", "link": "softmax"}, "makes no sense"),
    (flat, {"labels": ["a", "b", "c"]}, "4 classes but has 3 labels"),
    (flat, {"labels": ["a"]}, "two classes"),
    (flat, {"input_shape": (3, 8)}, "input_shape must be"),
    (flat, {"input_shape": (2, 8, 8)}, "input_shape must be"),
    (flat, {"input_shape": (3, 8, 8.0)}, "input_shape must be"),
    (flat, {"mean": (0.5, 0.5)}, "mean has 2 numbers for 3 channels"),
    (flat, {"std": (0.5, 0.0, 1.0)}, "std must be positive"),
    (lambda x: nn.functional.linear(x, torch.zeros(2, 5)), {}, "fails on a batch of 3 x 3 x 8"),
]


@pytest.mark.parametrize(("make", "options", "message"), OUTPUTS)
def test_modules_that_do_not_classify(
    make: Callable[[torch.Tensor], object], options: dict[str, Any], message: str
) -> None:
    torch.manual_seed(0)
    with pytest.raises(ClassifierError, match=f"classifier tiny.*{message}|labels: .*{message}"):
        from_module(Returns(make), **{"input_shape": SHAPE, "name": "tiny", **options})


def test_small_scores_are_compared_by_their_own_size() -> None:
    def nearly_uniform(images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(flat(images).repeat(1, 500), 1) + 1e-5 * len(images)

    with pytest.raises(ClassifierError, match="depends on the other images"):
        from_module(Returns(nearly_uniform), input_shape=SHAPE, output="probs")


def test_batch_statistics_are_found() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten()
    )
    with pytest.raises(ClassifierError, match="depends on the other images"):
        from_module(net, input_shape=SHAPE)


def test_dropout_that_stays_on_is_found() -> None:
    class Stubborn(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(flat(images) + 1, 0.5, training=True)

    with pytest.raises(ClassifierError, match="dropout"):
        from_module(Stubborn(), input_shape=SHAPE)


@pytest.mark.parametrize(
    ("predict", "options", "message"),
    [
        (lambda x: np.zeros((len(x), 3)), {"labels": ["a", "b"]}, "3 classes but has 2"),
        (lambda x: x.mean((1, 2, 3)), {}, "not 2 x classes"),
        (lambda x: np.zeros((len(x), 3)) * 1j, {}, "not real numbers|not a matrix"),
        (lambda x: np.full((len(x), 3), np.nan), {}, "NaN"),
        (lambda x: np.zeros(len(x), int), {"output": "label"}, "set labels"),
        (lambda x: np.zeros(len(x)), {"output": "label", "labels": ["a", "b"]}, "integers"),
        (
            lambda x: np.full(len(x), 2),
            {"output": "label", "labels": ["a", "b"]},
            "outside 0 to 1",
        ),
        (lambda x: 1 / 0, {}, "ZeroDivisionError"),
        (lambda x: np.full((len(x), 3), 2.0), {"output": "topk"}, "outside"),
    ],
)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_functions_that_do_not_classify(
    predict: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClassifierError, match=f"classifier tiny.*{message}"):
        from_predict(predict, input_shape=SHAPE, name="tiny", **options)


def test_probe_wants_exactly_one_way(net: nn.Module) -> None:
    nothing = Classifier("tiny", ("a", "b"), SHAPE, "0" * 64)
    both = Classifier("tiny", ("a", "b"), SHAPE, "0" * 64, module=net, predict=lambda x: x)
    for classifier in (nothing, both):
        with pytest.raises(ClassifierError, match="exactly one"):
            probe(classifier)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": "s"}, "set input_shape"),
        ({"kind": TensorProto.INT64}, r"must be N x C .*; it is x0 \(int64, n x 3 x 8 x 8\)"),
        (
            {"outputs": 2},
            r"has 2 outputs: y0 \(float, n x 4\), y1 \(float, n x 4\); say which one holds"
            r" the scores: onnx: \{output_name: y0\}",
        ),
    ],
)
def test_onnx_graphs(
    write_onnx: Callable[..., Path], options: dict[str, Any], message: str
) -> None:
    path = write_onnx(**options)
    for call in (load_classifier, inspect_classifier):
        with pytest.raises(ClassifierError, match=message):
            call(str(path))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"input_shape": [3, 9, 8]}, "is not what the graph takes"),
        ({"labels": ["a", "b"]}, "4 classes but has 2 labels"),
        ({"output": "probs"}, "outside"),
        ({"output": "label"}, "cannot have output 'label'"),
        ({"onnx": {"layout": "nhwc"}}, r"read as NHWC, its images have 8 channels .*layout: nchw"),
        ({"onnx": {"output_name": "z"}}, r"there is no output 'z'; there are y0 \(float, n x 4"),
        ({"input_shape": [3, 8, 8], "labels": ["a", "b"]}, "run with float32 NCHW images; onnx:"),
    ],
)
def test_onnx_specs(
    write_onnx: Callable[..., Path], extra: dict[str, object], message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier({"name": str(write_onnx()), **extra})


def test_not_onnx(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xff\xff\xff nonsense")
    with pytest.raises(ClassifierError, match=r"bad\.onnx"):
        load_classifier("bad.onnx", base=tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"")
    with pytest.raises(ClassifierError, match=r"bad\.onnx"):
        load_classifier("bad.onnx", base=tmp_path)


def test_missing_external_weights(write_onnx: Callable[..., Path]) -> None:
    path = write_onnx(external=True)
    (path.parent / "tiny.data").unlink()
    with pytest.raises(ClassifierError, match=r"tiny\.data, which is missing"):
        load_classifier(str(path))


LINEAR = (
    "from torch import nn\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))"
)
PREDICT = "import numpy as np\ndef make():\n    return lambda x: np.zeros((len(x), 2))"
READY = """
from evofool.classifiers import from_predict
import numpy as np
def make():
    return from_predict(lambda x: np.zeros((len(x), 2)), input_shape=(3, 8, 8))
"""


@pytest.mark.parametrize(
    ("text", "extra", "message"),
    [
        ("def make(:", {}, "SyntaxError"),
        ("import absent_package\ndef make(): ...", {}, "ModuleNotFoundError"),
        ("def make():\n    raise RuntimeError('boom')", {}, "RuntimeError: boom"),
        ("def make(x): ...", {}, "TypeError"),
        ("import sys\nsys.exit('bye')", {}, "SystemExit: bye"),
        ("def other(): ...", {}, "does not define make"),
        ("make = 3", {}, "does not define make"),
        ("def make(): return 3", {}, "returned a int"),
        (LINEAR, {}, "input_shape: is needed"),
        (PREDICT, {}, "input_shape: is needed"),
        (LINEAR, {"input_shape": [3, 9, 9]}, "is input_shape right"),
        (LINEAR, {"input_shape": [3, 8, 8], "weights": "x.pth"}, "weights cannot be set"),
        (PREDICT, {"input_shape": [3, 8, 8], "mean": [0.5]}, "gets uint8 images"),
        (READY, {"input_shape": [3, 8, 8]}, "returns a Classifier that has it"),
    ],
)
def test_user_files(
    user_file: Callable[[str], Path], text: str, extra: dict[str, object], message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier({"name": f"{user_file(text)}:make", **extra})


def test_inspecting_a_file_that_is_not_python(user_file: Callable[[str], Path]) -> None:
    with pytest.raises(ClassifierError, match="is not Python"):
        inspect_classifier(f"{user_file('def make(:')}:make")


def test_crops_are_refused(net: nn.Module) -> None:
    classifier = from_module(net, input_shape=SHAPE, name="tiny")
    with pytest.raises(ClassifierError, match="crops must be 1 or 10, not 5"):
        with_crops(classifier, 5)
    with pytest.raises(ClassifierError, match="10 crops already"):
        with_crops(with_crops(classifier, 10), 1)
    wide = from_module(net, input_shape=(3, 8, 16))
    with pytest.raises(ClassifierError, match="square input, not 8 x 16"):
        with_crops(wide, 10)
    labels = from_predict(
        lambda x: np.zeros(len(x), int), input_shape=SHAPE, output="label", labels=["a", "b"]
    )
    with pytest.raises(ClassifierError, match="averages confidences"):
        with_crops(labels, 10)
    spec = {"name": "absent.onnx", "input_shape": [3, 8, 16], "crops": 10}
    with pytest.raises(ClassifierError, match="square input"):
        inspect_classifier(spec)
