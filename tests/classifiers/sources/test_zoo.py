"""torchvision and timm without a network: local files, caches, and one clear error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.errors import ClassifierError


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
    monkeypatch.setattr("evofool.classifiers.sources.timm_zoo._hub_resolves", lambda: False)
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
