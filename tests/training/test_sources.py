"""Static sources of ensemble training: found, held against the data, and used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from evofool.classifiers.nets.lenet import LeNet
from evofool.config import load_model
from evofool.errors import Interrupted, UsageError
from evofool.training import TrainConfig, TrainProgress, train
from evofool.training.plan import plan

MODULE = """
import torch
from evofool.classifiers import from_module, from_predict

class Net(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.classes = classes
    def forward(self, images):
        mean = images.flatten(2).mean(2)
        return mean.repeat(1, self.classes) * torch.arange(self.classes)

def fine():
    return from_module(Net(2), input_shape=(1, 16, 16))

def other_shape():
    return from_module(Net(2), input_shape=(1, 16, 17))

def more_classes():
    return from_module(Net(3), input_shape=(1, 16, 16))

def other_labels():
    return from_module(Net(2), input_shape=(1, 16, 16), labels=["left", "up"])

def black():
    return from_predict(
        lambda images: images.reshape(len(images), -1)[:, :2] * 0 + [[0.5, 0.5]],
        input_shape=(1, 16, 16),
    )
"""


def config(sources: list[object], **changes: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "name": "net",
            "dataset": "halves",
            "epochs": 1,
            "batch": 32,
            "device": "cpu",
            "architecture": "mnist-d",
            "adversary": {"kind": "ensemble", "eps": 0.1, "sources": sources},
            **changes,
        }
    )


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(MODULE)
    return path


def test_names_paths_and_specs(halves: str, tmp_path: Path, module: Path) -> None:
    out = tmp_path / "out"
    undefended = config([], name="first", adversary=None)
    first = train(undefended, None, out)
    save_file(LeNet((1, 16, 16), 2).state_dict(), tmp_path / "own.safetensors")
    own = {
        "name": "lenet",
        "weights": str(tmp_path / "own.safetensors"),
        "input_shape": [1, 16, 16],
    }
    result = train(config(["first", str(first.weights), own, f"{module}:fine"]), None, out)
    card = json.loads(result.card.read_text(encoding="utf-8"))
    assert [source["name"] for source in card["sources"]][:2] == ["first", "first.safetensors"]
    digests = [source["digest"] for source in card["sources"]]
    assert digests[0] == digests[1] != digests[2]
    assert 0 <= card["adversarial_accuracy"] == result.adversarial_accuracy
    assert card["adversarial_check"] == {
        "attack": "fgsm",
        "eps": 0.1,
        "images": 96,
        "pixels": "floats",
    }


def test_the_sources_change_the_net(halves: str, tmp_path: Path, module: Path) -> None:
    def weights(sources: list[object], seed: int = 1) -> bytes:
        found = train(config(sources, seed=seed), None, tmp_path / "out", fresh=True)
        return found.weights.read_bytes()

    train(config([], name="first", adversary=None), None, tmp_path / "out")
    assert weights(["first"]) == weights(["first"])
    assert weights(["first"]) != weights([f"{module}:fine"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("other_shape", "takes 1 x 16 x 17 images, those of halves are 1 x 16 x 16"),
        ("more_classes", "has 3 classes, halves has 2"),
        ("other_labels", "class 1 is 'up' there and 'right' here"),
        ("black", "gives no gradients; a source must be a white box"),
        ("absent", "absent"),
    ],
)
def test_sources_that_do_not_fit(
    halves: str, tmp_path: Path, module: Path, source: str, message: str
) -> None:
    with pytest.raises(UsageError, match=f"^training net: source .*{message}"):
        train(config([f"{module}:{source}"]), None, tmp_path)


def test_a_bundled_victim_of_another_size(halves: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="source mnist-lenet: takes 1 x 28 x 28 images"):
        train(config(["mnist-lenet"]), None, tmp_path)


def test_a_source_that_is_not_trained_yet(halves: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mnist-b\.safetensors does not exist; train it into the"):
        train(config(["mnist-b"]), None, tmp_path)


def test_paths_start_from_the_config(
    halves: str, tmp_path: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs"
    folder.mkdir()
    text = config(["../own.py:fine"]).model_dump_json()
    (folder / "net.yaml").write_text(text)
    loaded = load_model(folder / "net.yaml", TrainConfig)
    assert train(loaded, None, tmp_path / "out").weights.is_file()
    override = ["adversary.sources=[own.py:fine]"]  # given at the prompt: from where it stands
    beside = load_model(folder / "net.yaml", TrainConfig, override)
    assert train(beside, None, tmp_path / "beside").weights.is_file()


def test_a_source_that_changed_is_another_training(halves: str, tmp_path: Path) -> None:
    from evofool.errors import Interrupted

    train(config([], name="first", adversary=None), None, tmp_path)
    with pytest.raises(Interrupted):
        train(config(["first"]), None, tmp_path, should_stop=lambda: True)
    train(config([], name="first", adversary=None, seed=2), None, tmp_path, fresh=True)
    with pytest.raises(UsageError, match="to another training: sources is"):
        train(config(["first"]), None, tmp_path)


def test_what_is_not_here_yet_is_listed(tmp_path: Path) -> None:
    loaded = load_model("train/mnist-b-ensemble", TrainConfig)
    missing = plan(loaded, tmp_path, tmp_path).missing
    assert len(missing) == 4
    assert missing[0].startswith("data set mnist: not found")
    for name, text in zip(("mnist-b", "mnist-c", "mnist-d"), missing[1:], strict=True):
        assert f"configs/train/{name}.yaml" in text


def test_crafting_leaves_the_sources_alone(halves: str, tmp_path: Path) -> None:
    first = train(config([], name="first", adversary=None), None, tmp_path)
    before = first.weights.read_bytes()
    train(config(["first"]), None, tmp_path)
    assert first.weights.read_bytes() == before


def test_a_source_that_has_changed_is_not_run(halves: str, tmp_path: Path, module: Path) -> None:
    settings = config([f"{module}:fine"], epochs=3)
    seen: list[TrainProgress] = []
    with pytest.raises(Interrupted):
        train(settings, None, tmp_path, seen.append, should_stop=lambda: seen[-1].step >= 2)
    spoor = tmp_path / "spoor"
    module.write_text(f"{MODULE}\nopen({str(spoor)!r}, 'w').close()\n")
    with pytest.raises(UsageError, match=r"to another training: code\.0\.own\.py is .* --fresh"):
        train(settings, None, tmp_path)
    assert not spoor.exists()
    module.write_text(MODULE)
    train(settings, None, tmp_path)
