"""Nets that give features: files and folders of prototypes, similarities, and what is refused."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.config import load_campaign
from evofool.errors import ClassifierError
from evofool.scoring import Scorer

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 4), dtype=np.uint8)
WEIGHTS = np.random.default_rng(1).normal(size=(16, 6)).astype(np.float32)
POINTS = np.random.default_rng(2).normal(size=(3, 6)).astype(np.float32) * 3
FEATURES = (IMAGES.reshape(5, 16) / 255.0) @ WEIGHTS
CODE = """
import numpy as np
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        weights = np.random.default_rng(1).normal(size=(16, 6)).astype(np.float32)
        self.weights = nn.Parameter(torch.from_numpy(weights))

    def forward(self, images):
        return images.flatten(1) @ self.weights

def asked():
    weights = np.random.default_rng(1).normal(size=(16, 6)).astype(np.float32)
    return lambda images: (images.reshape(len(images), -1) / 255) @ weights
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A net of 6 features in ``own.py``, and its prototypes in ``points.npz``."""
    (tmp_path / "own.py").write_text(CODE)
    np.savez(tmp_path / "points.npz", prototypes=POINTS, labels=["x", "y", "z"])
    return tmp_path


def spec(prototypes: object = "points.npz", **options: Any) -> dict[str, Any]:
    net = {"name": "own.py:Net", "input_shape": [1, 4, 4], "prototypes": prototypes}
    return {**net, **options}


def similarities(kind: str) -> np.ndarray[Any, Any]:
    if kind == "euclidean":
        return -np.square(FEATURES[:, None] - POINTS).sum(2)
    lengths = np.linalg.norm(FEATURES, axis=1)[:, None] * np.linalg.norm(POINTS, axis=1)
    return (FEATURES @ POINTS.T) / lengths


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("kind", "scale", "factor"),
    [("cosine", None, 10), ("euclidean", None, 1), ("cosine", 2.5, 2.5), ("euclidean", 0.2, 0.2)],
)
def test_logits_are_scaled_similarities(
    folder: Path, kind: str, scale: float | None, factor: float
) -> None:
    told = {"path": "points.npz", "similarity": kind, "scale": scale}
    victim = load_classifier(spec(told), base=folder)
    assert victim.labels == ("x", "y", "z")
    assert f"nearest of 3 prototypes ({kind})" in victim.preprocessing
    confidence = Scorer(victim, device="cpu").confidence(IMAGES)
    assert np.allclose(confidence, softmax(factor * similarities(kind)), atol=2e-5)


@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
def test_gradients_are_those_of_finite_differences(folder: Path, kind: str) -> None:
    victim = load_classifier(spec({"path": "points.npz", "similarity": kind}), base=folder)
    assert victim.module is not None
    net = victim.module.double()
    x = torch.from_numpy(IMAGES[:2]).double().div(255).requires_grad_(True)
    points = net.prototypes
    assert isinstance(points, torch.Tensor)

    def logits(images: torch.Tensor) -> torch.Tensor:  # `forward` without its float32
        features = images.flatten(1) @ net.net.weights  # type: ignore[union-attr, operator]
        if kind == "cosine":
            return 10 * torch.nn.functional.normalize(features, dim=1) @ points.T
        return -torch.cdist(features, points).square()

    (expected,) = torch.autograd.grad(logits(x)[:, 0].sum(), x)
    taken = Scorer(load_classifier(spec({"path": "points.npz", "similarity": kind}), base=folder))
    found = taken.gradients(IMAGES[:2], lambda outputs, _rows: outputs[:, 0])
    assert np.allclose(found.values, expected.numpy(), atol=1e-4)


def test_a_file_of_safetensors(folder: Path) -> None:
    named = {"labels": json.dumps(["x", "y", "z"])}
    save_file({"prototypes": POINTS}, folder / "named.safetensors", named)
    save_file({"prototypes": POINTS}, folder / "bare.safetensors")
    known = load_classifier(spec("named.safetensors"), base=folder)
    assert known.labels == ("x", "y", "z")
    assert known.digest == load_classifier(spec(), base=folder).digest
    given = load_classifier(spec("bare.safetensors", labels=["a", "b", "c"]), base=folder)
    assert given.labels == ("a", "b", "c")
    with pytest.raises(ClassifierError, match="3 prototypes without names; give one label a class"):
        load_classifier(spec("bare.safetensors"), base=folder)


@pytest.fixture
def graph(folder: Path) -> str:
    """The same net as a graph."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 4, 4])
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["features"]),
    ]
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 6])
    weights = numpy_helper.from_array(WEIGHTS, "w")
    made = helper.make_graph(nodes, "net", [image], [given], [weights])
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=8), folder / "net.onnx")
    return "net.onnx"


@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
@pytest.mark.parametrize("name", ["net.onnx", "own.py:asked"])
def test_features_of_graphs_and_functions(folder: Path, graph: str, name: str, kind: str) -> None:
    victim = load_classifier(
        spec({"path": "points.npz", "similarity": kind}, name=name), base=folder
    )
    assert victim.labels == ("x", "y", "z")
    assert not victim.white_box
    assert (victim.probed > 0) == (name != graph)
    with Scorer(victim, workers=2, batch=2) as scorer:
        confidence = scorer.confidence(IMAGES)
    assert np.allclose(confidence, softmax((10 if kind == "cosine" else 1) * similarities(kind)),
                       atol=2e-5)  # fmt: skip


def test_pictures_for_a_graph_are_those_for_a_module(folder: Path, graph: str) -> None:
    pictures(folder / "animals")
    nets = [
        load_classifier(spec("animals", name=name), base=folder) for name in (graph, "own.py:Net")
    ]
    first, second = (Scorer(net, device="cpu").score(IMAGES).log_odds for net in nets)
    assert np.allclose(first, second, atol=1e-4)
    other = load_classifier(spec({"path": "animals", "scale": 3}, name=graph), base=folder)
    assert len({net.digest for net in (*nets, other)}) == 3


def pictures(root: Path, *, seed: int = 3) -> Path:
    rng = np.random.default_rng(seed)
    for name, count in (("cat", 2), ("dog", 3)):
        (root / name).mkdir(parents=True)
        for k in range(count):
            rows = rng.integers(0, 256, (4, 4), dtype=np.uint8)
            PIL.Image.fromarray(rows).save(root / name / f"{k}.png")
    return root


@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
def test_a_folder_of_pictures_gives_their_mean_features(folder: Path, kind: str) -> None:
    root = pictures(folder / "animals")
    victim = load_classifier(spec({"path": "animals", "similarity": kind}), base=folder)
    assert victim.labels == ("cat", "dog")
    means = []
    for name in victim.labels:
        rows = np.stack([np.asarray(PIL.Image.open(p)) for p in sorted((root / name).iterdir())])
        features = (rows.reshape(len(rows), 16) / 255.0) @ WEIGHTS
        if kind == "cosine":
            features /= np.linalg.norm(features, axis=1, keepdims=True)
        means.append(features.mean(0))
    expected = np.stack(means)
    if kind == "cosine":
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = victim.module.prototypes  # type: ignore[union-attr]
    assert isinstance(found, torch.Tensor)
    assert np.allclose(found.numpy(), expected, atol=1e-5)


def test_a_folder_is_known_by_its_pixels_wherever_it_lies(folder: Path) -> None:
    first = load_classifier(spec(str(pictures(folder / "one"))), base=folder)
    shutil.move(folder / "one", folder / "two")
    (folder / "two" / "cat" / "notes.txt").write_text("no picture")
    assert load_classifier(spec("two"), base=folder).digest == first.digest
    other = load_classifier(spec(str(pictures(folder / "other", seed=4))), base=folder)
    assert other.digest != first.digest


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"prototypes": POINTS[:, :4]}, "points of 4 numbers, and the net gives 6 features"),
        ({"prototypes": POINTS[:1]}, "float32 1 x 6, not classes x features"),
        ({"prototypes": POINTS[0]}, "float32 6, not classes x features"),
        ({"prototypes": POINTS * np.nan}, "holds NaN or infinite numbers"),
        ({"means": POINTS}, "holds no array 'prototypes'; save an array"),
        ({"prototypes": POINTS, "labels": ["x", "y"]}, "3 prototypes with 2 labels"),
        ({"prototypes": POINTS, "labels": np.array(["x", 1, {}], object)}, "cannot be read"),
        ({"prototypes": np.array([["a"], ["b"]])}, "not classes x features"),
    ],
)
def test_files_that_hold_no_prototypes(folder: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(folder / "points.npz", **arrays)
    with pytest.raises(ClassifierError, match=message):
        load_classifier(spec(), base=folder)


def test_what_is_no_file_of_prototypes(folder: Path) -> None:
    (folder / "points.npz").write_bytes(b"nothing")
    with pytest.raises(ClassifierError, match=r"points\.npz: cannot be read"):
        load_classifier(spec(), base=folder)
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**15, 6)}
    claims = io.BytesIO()
    np.lib.format.write_array_header_1_0(claims, header)
    with zipfile.ZipFile(folder / "points.npz", "w") as archive:
        archive.writestr("prototypes.npy", claims.getvalue() + b"\0" * 96)
    with pytest.raises(ClassifierError, match=r"points\.npz: cannot be read"):
        load_classifier(spec(), base=folder)
    with pytest.raises(ClassifierError, match=r"absent\.npz: no such file or folder"):
        load_classifier(spec("absent.npz"), base=folder)
    for name, files, message in (
        ("bare", (), "has 0 folders; put the pictures of each class into one"),
        ("single", ("a/x.png",), "has 1 folders"),
        ("empty", ("a/x.txt", "b/x.txt"), r"holds no pictures \(\.bmp"),
        ("odd", ("a/x.png", "b/x.png"), "not a picture|cannot be|is no picture"),
    ):
        (folder / name).mkdir()
        for file in files:
            (folder / name / file).parent.mkdir(exist_ok=True)
            (folder / name / file).write_bytes(b"no picture")
        with pytest.raises(ClassifierError, match=message):
            load_classifier(spec(name), base=folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "probs"}, "output cannot be set beside prototypes"),
        ({"link": "sigmoid"}, "link cannot be set beside prototypes"),
        ({"task": "multi-label"}, "task cannot be set beside prototypes"),
        ({"name": "own.py:asked", "prototypes": "animals"}, "a predict function would be sent"),
        (
            {"prototypes": {"path": "points.npz", "metric": "l1"}},
            "known here: path, scale",
        ),
        ({"prototypes": {"path": "points.npz", "scale": 0}}, r"prototypes\.scale: must be above 0"),
        ({"prototypes": {"similarity": "cosine"}}, r"prototypes\.path: is missing"),
    ],
)
def test_options_that_do_not_go_with_prototypes(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    pictures(folder / "animals")
    with pytest.raises(ClassifierError, match=message):
        load_classifier({**spec(), **options}, base=folder)


def test_an_ensemble_has_no_prototypes() -> None:
    with pytest.raises(ClassifierError, match="prototypes are of one net that gives features"):
        load_classifier({"ensemble": ["mnist-lenet", "fashion-lenet"], "prototypes": "points.npz"})


def test_what_is_known_without_loading(folder: Path) -> None:
    pictures(folder / "animals")
    assert inspect_classifier(spec("animals"), base=folder).n_classes == 2
    assert inspect_classifier(spec(), base=folder).ready
    absent = inspect_classifier(spec("absent.npz"), base=folder)
    assert not absent.ready
    assert "prototypes" in absent.missing


@pytest.mark.parametrize("prototypes", ["points.npz", {"path": "points.npz"}])
def test_a_config_finds_them_beside_itself(folder: Path, prototypes: object) -> None:
    config = {"classifier": spec(prototypes), "encoding": "cppn", "stop": {"generations": 1}}
    (folder / "run.yaml").write_text(json.dumps(config))
    loaded = load_campaign(folder / "run.yaml")
    assert loaded.config.classifier.prototypes is not None
    assert loaded.config.classifier.prototypes.path == str(folder / "points.npz")


def test_a_timm_net_gives_the_features_before_its_last_layer(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    net = timm.create_model("test_resnet", pretrained=False, num_classes=3).eval()
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    save_file(state, tmp_path / "own.safetensors")
    np.savez(tmp_path / "points.npz", prototypes=np.eye(4, net.num_features, dtype=np.float32))
    victim = load_classifier(
        {
            "name": "timm:test_resnet", "weights": "own.safetensors",
            "labels": ["a", "b", "c", "d"],
            "prototypes": {"path": "points.npz", "similarity": "cosine", "scale": 1},
        },
        base=tmp_path,
    )  # fmt: skip
    assert victim.module is not None
    images = torch.rand(2, *victim.input_shape)
    features = net.forward_head(net.forward_features((images - 0.5) / 0.5), pre_logits=True)
    expected = torch.nn.functional.normalize(features, dim=1)[:, :4]
    assert torch.allclose(victim.module(images), expected, atol=1e-5)
