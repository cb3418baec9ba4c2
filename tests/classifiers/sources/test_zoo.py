"""torchvision and timm without a network: local files, caches, and one clear error."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

from evofool.classifiers import inspect_classifier, load_classifier, prepare
from evofool.errors import ClassifierError
from evofool.images import to_float


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub, and no network behind it."""
    from torchvision.models import _api

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(_api, "load_state_dict_from_url", refuse)
    return tmp_path / "hub"


def small_state(**options: Any) -> dict[str, torch.Tensor]:
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = squeezenet1_1(weights=None, **options).state_dict()
    return state


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_torchvision_with_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"own.{suffix}"
    if suffix == "pth":
        torch.save(small_state(), path)
    else:
        save_file(small_state(), path)
    spec = {"name": "torchvision:squeezenet1_1", "weights": path.name}
    classifier = load_classifier(spec, base=tmp_path)
    assert classifier.input_shape == (3, 224, 224)
    assert classifier.labels[0] == "tench"
    assert classifier.resize is not None
    assert (classifier.resize.shorter_side, classifier.resize.interpolation) == (256, "bilinear")
    assert "0.485, 0.456, 0.406" in classifier.preprocessing
    assert classifier.source is not None
    assert inspect_classifier(spec, base=tmp_path).ready


def test_torchvision_with_other_classes_and_size(tmp_path: Path) -> None:
    save_file(small_state(num_classes=3), tmp_path / "own.safetensors")
    classifier = load_classifier(
        {
            "name": "torchvision:squeezenet1_1",
            "weights": "own.safetensors",
            "labels": ["a", "b", "c"],
            "input_shape": [3, 112, 112],
            "mean": [0.5, 0.5, 0.5],
        },
        base=tmp_path,
    )
    assert classifier.n_classes == 3
    assert classifier.resize is not None
    assert classifier.resize.shorter_side == 128
    assert "0.5, 0.5, 0.5" in classifier.preprocessing


def test_torchvision_uses_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import SqueezeNet1_1_Weights

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(
        "urllib.request.urlopen", lambda *_a, **_k: pytest.fail("asked for a download")
    )
    (tmp_path / "checkpoints").mkdir()
    name = SqueezeNet1_1_Weights.DEFAULT.url.rpartition("/")[2]
    torch.save(small_state(), tmp_path / "checkpoints" / name)
    assert inspect_classifier("torchvision:squeezenet1_1").ready
    named = {"name": "torchvision:squeezenet1_1", "weights": "IMAGENET1K_V1"}
    assert inspect_classifier(named).ready
    assert load_classifier(named).source is None


@pytest.mark.parametrize("weights", [None, "IMAGENET1K_V2"])
def test_torchvision_without_network(hub: Path, weights: str | None) -> None:
    from torchvision.models import ResNet50_Weights

    spec: dict[str, object] = {"name": "torchvision:resnet50"}
    if weights is not None:
        spec["weights"] = weights
    url = ResNet50_Weights.IMAGENET1K_V2.url
    inspected = inspect_classifier(spec)
    assert not inspected.ready
    assert inspected.n_classes == 1000
    assert url in inspected.missing
    with pytest.raises(ClassifierError) as caught:
        load_classifier(spec)
    for part in (url, str(hub / "checkpoints"), "weights: FILE", "no network"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "torchvision:resnet999"}, "near: .*resnet18"),
        ({"name": "torchvision:fasterrcnn_resnet50_fpn"}, "no classification model"),
        ({"name": "torchvision:resnet18", "weights": "V9"}, "one of IMAGENET1K_V1"),
        ({"name": "torchvision:resnet18", "weights": "absent.pth"}, "no such file"),
        ({"name": "torchvision:resnet18", "weights": "own.bin"}, "unknown kind of file"),
        ({"name": "torchvision:resnet18", "input_shape": [1, 224, 224]}, "3 channels"),
    ],
)
def test_torchvision_refuses(spec: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier(spec, base=tmp_path)


def test_old_densenet_names() -> None:
    from evofool.classifiers.sources.torchvision_zoo import _renamed

    key = "features.denseblock1.denselayer1.norm.1.weight"
    assert list(_renamed({key: 1}, "densenet121")) == [key.replace("norm.1", "norm1")]
    assert list(_renamed({key: 1}, "resnet18")) == [key]


def test_auxiliary_heads_are_dropped(tmp_path: Path) -> None:
    from torchvision import models

    name = "googlenet"
    options = {"weights": None, "init_weights": False, "num_classes": 3}
    state = models.get_model(name, aux_logits=True, **options).state_dict()
    save_file(state, tmp_path / "own.safetensors")
    classifier = load_classifier(
        {
            "name": f"torchvision:{name}",
            "weights": "own.safetensors",
            "labels": ["a", "b", "c"],
            "input_shape": [3, 64, 64],
        },
        base=tmp_path,
    )
    assert classifier.n_classes == 3


timm = pytest.importorskip("timm")


@pytest.fixture(scope="module")
def timm_states(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The weights file of a random net of three classes, made once a model."""
    folder = tmp_path_factory.mktemp("timm")

    def saved(model: str) -> Path:
        path: Path = folder / f"{model}.safetensors"
        if not path.exists():
            net = timm.create_model(model, pretrained=False, num_classes=3)
            save_file(net.state_dict(), path)
        return path

    return saved


def test_timm_with_a_file(tmp_path: Path) -> None:
    net = timm.create_model("test_resnet", pretrained=False, num_classes=3)
    save_file(net.state_dict(), tmp_path / "own.safetensors")
    classifier = load_classifier(
        {"name": "timm:test_resnet", "weights": "own.safetensors", "labels": ["a", "b", "c"]},
        base=tmp_path,
    )
    config = timm.get_pretrained_cfg("test_resnet")
    assert classifier.input_shape == tuple(config.input_size)
    assert classifier.labels == ("a", "b", "c")
    assert classifier.resize is not None
    assert classifier.resize.shorter_side == int(config.input_size[1] / config.crop_pct)
    assert classifier.resize.interpolation == config.interpolation


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("test_resnet", {}),  # bilinear
        ("test_vit", {}),  # bicubic, another mean
        ("test_resnet", {"crop_mode": "squash", "crop_pct": 0.9}),
        (
            "test_resnet",
            {"crop_mode": "border", "interpolation": "lanczos", "mean": (0.1, 0.2, 0.9)},
        ),
        ("test_resnet", {"input_size": (3, 64, 48), "crop_pct": 0.875}),
        ("test_resnet", {"input_size": (3, 64, 48), "crop_mode": "squash"}),
        ("test_resnet", {"input_size": (3, 48, 64), "crop_mode": "border", "crop_pct": 0.8}),
    ],
)
def test_the_pixels_that_reach_a_timm_net_are_those_of_its_own_transform(
    model: str, said: dict[str, Any], timm_states: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but 1e-6, which is what one division more or less leaves of a number near 2."""
    path = timm_states(model)
    config = dataclasses.replace(timm.get_pretrained_cfg(model), **said)
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda *_a, **_k: config)
    classifier = load_classifier(
        {"name": f"timm:{model}", "weights": str(path), "labels": ["a", "b", "c"]}
    )
    data = timm.data.resolve_data_config({}, pretrained_cfg=config.to_dict())
    transform = timm.data.create_transform(**data)
    seen: list[torch.Tensor] = []
    module: Any = classifier.module
    module.net.register_forward_pre_hook(lambda _net, inputs: seen.append(inputs[0][0]))
    for width, height in ((300, 200), (90, 211), (160, 161)):
        rows = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = PIL.Image.fromarray(rows)
        module(torch.from_numpy(to_float(prepare(picture, classifier)[None])))
        assert seen[-1].shape == classifier.input_shape
        assert torch.allclose(seen[-1], transform(picture), rtol=0, atol=1e-6)
    assert f"{data['interpolation']}, centre crop" in classifier.preprocessing


def test_a_timm_transformer_takes_another_size(tmp_path: Path) -> None:
    net = timm.create_model("test_vit", pretrained=False, num_classes=3, img_size=(64, 64))
    save_file(net.state_dict(), tmp_path / "own.safetensors")
    spec = {
        "name": "timm:test_vit",
        "weights": "own.safetensors",
        "labels": ["a", "b", "c"],
        "input_shape": [3, 64, 64],
    }
    assert load_classifier(spec, base=tmp_path).input_shape == (3, 64, 64)


def test_timm_names_the_classes_of_larger_imagenets() -> None:
    from evofool.classifiers.sources.timm_zoo import _labels

    names = _labels(timm, 11821)
    assert names is not None
    assert (len(names), names[1]) == (
        11821,
        timm.data.ImageNetInfo("imagenet-12k").label_descriptions()[1],
    )
    assert _labels(timm, 7) is None


@pytest.mark.parametrize(
    ("said", "spec", "message"),
    [
        ({"interpolation": "random"}, {}, "interpolation 'random' is none of bicubic"),
        ({}, {"input_shape": [1, 32, 32], "mean": [0.5] * 3}, "takes 3 channels, not 1"),
        ({"num_classes": 0}, {}, "has no classes, it only gives features"),
    ],
)
def test_timm_refuses_what_its_configuration_cannot_mean(
    said: dict[str, Any], spec: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(timm.get_pretrained_cfg("test_resnet"), **said)
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda *_a, **_k: config)
    with pytest.raises(ClassifierError, match=message):
        inspect_classifier({"name": "timm:test_resnet", **spec})


def test_timm_uses_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = timm.create_model("test_resnet", pretrained=False)
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda _repository, file, **_k: str(tmp_path / file) if "safe" in file else None,
    )
    assert inspect_classifier("timm:test_resnet").ready
    classifier = load_classifier("timm:test_resnet")
    assert classifier.labels[0] == "tench"
    assert classifier.source is None


def test_timm_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_a, **_k: None)
    monkeypatch.setattr("evofool.classifiers.sources.timm_zoo.hub_resolves", lambda: False)
    assert not inspect_classifier("timm:test_resnet").ready
    with pytest.raises(ClassifierError, match=r"not on this machine.*weights: FILE"):
        load_classifier("timm:test_resnet")


@pytest.mark.parametrize("call", [load_classifier, inspect_classifier])
def test_timm_refuses_unknown_models(call: Any) -> None:
    with pytest.raises(ClassifierError, match="timm has no model 'nonsense'"):
        call("timm:nonsense")


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert "evofool[timm]" in inspect_classifier("timm:resnet18").missing
    with pytest.raises(ClassifierError, match=r"pip install 'evofool\[timm\]'"):
        load_classifier("timm:resnet18")
