"""The nets that are built here: layers, shapes, and loading what was saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from evofool.classifiers import load_classifier
from evofool.classifiers.labels import shipped_labels
from evofool.classifiers.nets.architectures import ARCHITECTURES, build_architecture, with_scale
from evofool.errors import ClassifierError

SMALL = [name for name, entry in ARCHITECTURES.items() if not entry.fixed_shape]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("shape", "classes"), [((1, 28, 28), 10), ((3, 32, 32), 43), ((1, 29, 27), 2)]
)
def test_any_shape_and_number_of_classes(
    name: str, shape: tuple[int, int, int], classes: int, tmp_path: Path
) -> None:
    net = build_architecture(name, shape, classes)
    save_file(net.state_dict(), tmp_path / "own.safetensors")
    victim = load_classifier(
        {"name": name, "weights": "own.safetensors", "input_shape": list(shape)}, base=tmp_path
    )
    assert victim.n_classes == classes
    assert victim.input_shape == shape
    usual = shipped_labels(ARCHITECTURES[name].labels)
    assert victim.labels == (usual if len(usual) == classes else tuple(map(str, range(classes))))
    images = torch.rand(3, *shape)
    expected = with_scale(name, net, shape[0]).eval()(images)
    assert victim.module is not None
    assert torch.allclose(victim.module(images), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "side"), [("mnist-a", 8), ("mnist-b", 26), ("mnist-c", 4), ("sign-cnn", 7)]
)
def test_too_small(name: str, side: int) -> None:
    with pytest.raises(ClassifierError, match=f"classifier {name}: cannot take .* too short"):
        build_architecture(name, (1, side, side), 10)
    assert build_architecture(name, (1, side + 1, side + 1), 10)


LAYERS = {
    "mnist-a": [(64, 1, 5, 5), (64, 64, 5, 5), (128, 64 * 20 * 20), (10, 128)],
    "mnist-b": [(64, 1, 8, 8), (128, 64, 6, 6), (128, 128, 5, 5), (10, 128)],
    "mnist-c": [(128, 1, 3, 3), (64, 128, 3, 3), (128, 64 * 24 * 24), (10, 128)],
    "mnist-d": [(300, 784), (300, 300), (300, 300), (300, 300), (10, 300)],
}
DROPOUTS = {
    "mnist-a": [0.25, 0.5],
    "mnist-b": [0.2, 0.5],
    "mnist-c": [0.25, 0.5],
    "mnist-d": [0.5] * 4,
}


@pytest.mark.parametrize("name", LAYERS)
def test_tramers_nets(name: str) -> None:
    net = build_architecture(name, (1, 28, 28), 10)
    weights = [tuple(value.shape) for key, value in net.named_parameters() if "weight" in key]
    assert weights == LAYERS[name]
    dropouts = [part.p for part in net.modules() if isinstance(part, torch.nn.Dropout)]
    assert dropouts == DROPOUTS[name]


def test_resnet20_has_20_layers_and_shortcuts_without_weights() -> None:
    net = build_architecture("cifar-resnet", (3, 32, 32), 10)
    layers = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 20
    assert sum(weight.numel() for weight in net.parameters()) == 269_722


def test_grey_pictures_get_the_average_normalisation() -> None:
    mean, std = ARCHITECTURES["cifar-resnet"].scale(1)
    assert mean == (pytest.approx((0.485 + 0.456 + 0.406) / 3),)
    assert std is not None
    assert len(std) == 1
    assert ARCHITECTURES["cifar-resnet"].scale(3)[0] == (0.485, 0.456, 0.406)
    assert ARCHITECTURES["lenet"].scale(3) == (None, None)


def test_an_architecture_without_weights_says_so() -> None:
    with pytest.raises(ClassifierError, match=r"set weights: FILE\.safetensors$"):
        load_classifier("mnist-a")
    with pytest.raises(ClassifierError, match="or name one that is trained: mnist-lenet"):
        load_classifier("lenet")
