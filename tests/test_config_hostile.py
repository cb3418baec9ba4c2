"""Configs that are made to harm: texts that take for ever, paths that no file system holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.config import load_attacks, load_campaign, load_value, load_yaml
from evofool.config.document import MAX_VALUES
from evofool.data import load_dataset
from evofool.encodings import find as find_encoding
from evofool.errors import ClassifierError, ConfigError, EncodingError, UsageError
from evofool.experiments.defend.study import DefendStudy
from evofool.experiments.retrain.study import RetrainStudy
from evofool.training import TrainConfig
from evofool.training.sources import load_sources

UNUSABLE = {
    "NUL": "a\0b",
    "surrogate": "a\ud800b",
    "no-such-user": "~nosuchuser/a",
    "300-characters": "x" * 300,
    "circle": "circle/a",
}
ANYTHING = Callable[..., Any]
NET = {"name": "mnist-lenet"}
CAMPAIGN: dict[str, Any] = {
    "classifier": NET,
    "encoding": {"name": "direct"},
    "stop": {"generations": 1},
}
ATTACK: dict[str, Any] = {
    "kind": "attack",
    "classifier": NET,
    "images": {"noise": "uniform"},
    "attacks": [{"name": "fgsm", "eps": 0.1}],
}
DEFENSE: dict[str, Any] = {
    "kind": "defend",
    "base": NET,
    "defense": {"name": "bit-depth", "bits": 3},
    "data": {"dataset": "mnist"},
    "threats": {"eps": 0.1},
}
RETRAINING: dict[str, Any] = {"kind": "retrain", "base": NET, "data": {"dataset": "mnist"}}
OWN: dict[str, Any] = {"name": "lenet"}

PATH_KEYS: dict[str, tuple[ANYTHING, Mapping[str, Any], str, Callable[[str], Any]]] = {
    "victim": (load_campaign, CAMPAIGN, "classifier", lambda p: {"name": f"{p}.onnx"}),
    "victim's code": (load_campaign, CAMPAIGN, "classifier", lambda p: {"name": f"{p}.py:f"}),
    "victim in short": (load_campaign, CAMPAIGN, "classifier", lambda p: f"{p}.safetensors"),
    "weights": (load_campaign, CAMPAIGN, "classifier", lambda p: {**OWN, "weights": f"{p}.pt"}),
    "labels": (load_campaign, CAMPAIGN, "classifier", lambda p: {**NET, "labels": p}),
    "encoding": (load_campaign, CAMPAIGN, "encoding", lambda p: {"name": f"{p}.py:E"}),
    "attacked": (load_attacks, ATTACK, "classifier", lambda p: {"name": f"{p}.onnx"}),
    "folder": (load_attacks, ATTACK, "images", lambda p: {"folder": p}),
    "label file": (load_attacks, ATTACK, "images", lambda p: {"folder": "/", "labels": p}),
    "substitute": (
        load_attacks,
        ATTACK,
        "attacks",
        lambda p: [{"name": "substitute", "substitute": f"{p}.safetensors"}],
    ),
    "base": (DefendStudy.load, DEFENSE, "base", lambda p: {"name": f"{p}.onnx"}),
    "sources": (DefendStudy.load, DEFENSE, "sources", lambda p: [{"name": f"{p}.onnx"}]),
    "trained": (
        DefendStudy.load,
        DEFENSE,
        "defense",
        lambda p: {"name": "trained", "weights": f"{p}.safetensors"},
    ),
    "training": (DefendStudy.load, DEFENSE, "defense", lambda p: {"name": "trained", "train": p}),
    "denoiser": (
        DefendStudy.load,
        DEFENSE,
        "defense",
        lambda p: {"name": "denoiser", "weights": f"{p}.safetensors"},
    ),
    "retrained": (RetrainStudy.load, RETRAINING, "base", lambda p: {"name": f"{p}.yaml"}),
    "others": (RetrainStudy.load, RETRAINING, "others", lambda p: [f"{p}.onnx"]),
}


@pytest.fixture(autouse=True)
def _circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("circle").symlink_to("circle")


@pytest.mark.parametrize("check", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize(("load", "config", "key", "value"), PATH_KEYS.values(), ids=PATH_KEYS)
def test_a_path_that_cannot_be_one_is_refused_at_its_key(
    load: ANYTHING,
    config: Mapping[str, Any],
    key: str,
    value: Callable[[str], Any],
    text: str,
    check: bool,
) -> None:
    with pytest.raises(ConfigError, match=f"^config: {key}") as info:
        load({**config, key: value(text)}, check_files=check)
    assert "cannot be a path" in str(info.value) or "surrogate" in str(info.value)
    assert len(str(info.value)) < 500


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_a_path_from_python_likewise(text: str, tmp_path: Path) -> None:
    for spec in (
        f"{text}.onnx",
        f"{text}.safetensors",
        f"{text}.py:f",
        f"{text}.yaml",
        {"name": "lenet", "weights": f"{text}.pt"},
        {"name": "mnist-lenet", "labels": f"{text}.txt"},
    ):
        for use in (load_classifier, inspect_classifier):
            with pytest.raises(
                ClassifierError, match=r"cannot be used as a path|no such file|surrogate"
            ):
                use(spec, base=tmp_path)
    with pytest.raises(EncodingError, match="cannot be read"):
        find_encoding(f"{text}.py:E")
    for load in (load_campaign, load_attacks, DefendStudy.load, RetrainStudy.load):
        with pytest.raises(ConfigError, match=r"cannot be read|no such config"):
            load(text)
        with pytest.raises(ConfigError, match=r"cannot be read|no such file"):
            load_yaml(Path(text))


@pytest.mark.parametrize("text", [t for t in UNUSABLE.values() if "\ud800" not in t])
def test_a_static_source_likewise(text: str, tmp_path: Path) -> None:
    adversary = {"kind": "ensemble", "eps": 0.1, "sources": [f"{text}.safetensors"]}
    config = TrainConfig(
        name="net",
        dataset="mnist-sample",
        epochs=1,
        adversary=adversary,  # type: ignore[arg-type]
    )
    with pytest.raises(UsageError, match=r"source .*: .*cannot be used as a path"):
        load_sources(config, tmp_path, load_dataset("mnist-sample"))


HARMFUL = {
    "keys 50,000 deep": ("? " * 50_000 + "a", "a key must be a name, not a mapping"),
    "flow keys 50,000 deep": ("{? " * 50_000, "a key must be a name, not a mapping"),
    "lists 50,000 deep": ("[" * 50_000, "nested more than 32 deep"),
    "a list as a key": ("[1]: 2", "a key must be a name, not a list"),
    "a million ones": ("a: [" + "1," * 500_000 + "1]", "holds more than 65,536 keys and values"),
    "a hundred thousand keys": (
        "".join(f"k{n}:\n" for n in range(100_000)),
        "holds more than 65,536 keys and values",
    ),
    "an escape beyond Unicode": (r'a: "\UFFFFFFFF"', "is not valid YAML"),
    "an escape just beyond Unicode": (r'a: "\U00110000"', "is not valid YAML"),
    "a version of 10,000 digits": ("%YAML 1." + "1" * 10_000 + "\n---\na: 1", "is not valid YAML"),
    "a number of 100,000 digits": ("a: " + "9" * 100_000, "more than 300 digits"),
}


@pytest.mark.parametrize(("text", "message"), HARMFUL.values(), ids=HARMFUL)
def test_a_text_that_is_made_to_harm(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as info:
        load_yaml(text)
    assert len(str(info.value)) < 300
    if len(text) < 200_000:
        with pytest.raises(ConfigError):
            load_value(text, "override x")


def test_an_override_has_the_size_of_a_config_at_most() -> None:
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_value("a" * (1 << 21), "override x")


def test_the_labels_of_all_of_imagenet_are_no_harm() -> None:
    labels = [f"class {n}" for n in range(21_841)]
    assert load_yaml(f"labels: {labels}").data == {"labels": labels}
    assert len(labels) < MAX_VALUES


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_config_that_is_a_pipe_or_endless(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=r"pipe\.yaml: cannot be read \(it is a named pipe"):
        load_campaign(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match=r"endless\.yaml: cannot be read \(it is a device"):
        load_campaign(tmp_path / "endless.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_at_a_path_key_is_named_as_such() -> None:
    os.mkfifo("victim.onnx")
    with pytest.raises(ConfigError, match=r"classifier.*: no regular file: .*victim\.onnx"):
        load_campaign({**CAMPAIGN, "classifier": "victim.onnx"})
