"""``victims: [a, b]`` in a config of evolution: the short form of an ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evofool.config import load_campaign, to_yaml
from evofool.config.loading import moved_classifier
from evofool.errors import ConfigError

REST = "encoding: cppn\nstop: {generations: 1}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(text + REST)
    return path


def test_the_short_form_is_a_classifier(tmp_path: Path) -> None:
    (tmp_path / "own.py").touch()
    path = written(tmp_path, "victims: [mnist-lenet, {name: 'own.py:make'}]\nensemble: mean\n")
    config = load_campaign(path).config
    assert config.classifier.name == "mean of mnist-lenet, own:make"
    assert config.classifier.rule == "mean"
    assert config.classifier.ensemble is not None
    assert config.classifier.ensemble[1].name == f"{tmp_path}/own.py:make"
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(config))
    assert load_campaign(again).config == config
    mapping = {"victims": ["mnist-lenet", "a"], "encoding": "cppn", "stop": {"generations": 1}}
    assert load_campaign(mapping).config.classifier.rule == "least"


def test_overrides_reach_it(tmp_path: Path) -> None:
    path = written(tmp_path, "victims: [mnist-lenet]\n")
    changed = load_campaign(path, ["ensemble=mean", "victims=[mnist-lenet, cifar10-resnet20]"])
    assert changed.config.classifier.name == "mean of mnist-lenet, cifar10-resnet20"
    whole = tmp_path / "whole.yaml"
    whole.write_text(to_yaml(changed.config))
    assert load_campaign(whole, ["classifier.rule=least"]).config.classifier.rule == "least"
    with pytest.raises(ConfigError, match=r"ensemble=mean: .*set classifier.rule"):
        load_campaign(whole, ["ensemble=mean"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("victims: mnist-lenet\n", "c.yaml:1: victims: must be a list of nets, not text"),
        ("victims: []\n", r"c.yaml:1: classifier.ensemble: must have at least 1 item, not 0"),
        (
            "victims: [a, 3]\n",
            r"c.yaml:1: victims\[1\]: must be a name or a mapping of a net, ",
        ),
        ("victims: [a]\nclassifier: b\n", "c.yaml:1: victims: are given besides a classifier"),
        ("victims: [a]\nensemble: most\n", "c.yaml:2: ensemble: must be least or mean, not 'most'"),
        ("classifier: a\nensemble: least\n", "c.yaml:2: ensemble: says how the nets of `victims`"),
        ("victims:\n- a\n- {ensemble: [b]}\n", r"c.yaml:3: victims\[1\]: is itself an ensemble"),
        ("victims:\n- a\n- {name: b, rols: 1}\n", r"c.yaml:3: .*ensemble\[1\].rols: unknown key"),
        ("classifier: {ensemble: [a], zzz: 1}\n", r"known here: answers, ensemble, name, rule, tr"),
        (
            "victims:\n- a\n- gone.onnx\n",
            r"c.yaml:3: classifier.ensemble\[1\]: no such file: ",
        ),
        ("classifier: {name: a, rule: mean}\n", "c.yaml:1: classifier: rule is for an ensemble"),
    ],
)
def test_a_wrong_one(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_campaign(written(tmp_path, text))


def nets_of(override: str) -> Any:
    import json

    key, _, value = override.partition("=")
    assert key == "classifier.ensemble"
    return json.loads(value)


def test_files_that_moved(tmp_path: Path) -> None:
    for name in ("a.safetensors", "own.py"):
        (tmp_path / name).touch()
    path = written(tmp_path, "victims: [mnist-lenet, a.safetensors, 'own.py:make']\n")
    run = tmp_path / "config.yaml"
    run.write_text(to_yaml(load_campaign(path).config))
    new = tmp_path / "new"
    new.mkdir()
    before = [net["name"] for net in nets_of(moved_classifier(str(tmp_path), run))]
    assert before == ["mnist-lenet", f"{tmp_path}/a.safetensors", f"{tmp_path}/own.py:make"]
    (tmp_path / "own.py").rename(new / "own.py")
    one = [net["name"] for net in nets_of(moved_classifier(f"{new}/own.py", run))]
    assert one == [*before[:2], f"{new}/own.py:make"]
    (new / "own.py").rename(new / "other.py")  # under another name, but no other is missing
    assert nets_of(moved_classifier(f"{new}/other.py", run))[2]["name"] == f"{new}/other.py:make"
    (new / "other.py").rename(new / "own.py")
    (tmp_path / "a.safetensors").rename(new / "a.safetensors")
    several = [net["name"] for net in nets_of(moved_classifier(str(new), run))]
    assert several == ["mnist-lenet", f"{new}/a.safetensors", f"{new}/own.py:make"]
    with pytest.raises(ConfigError, match="none of the ensemble's files is called"):
        moved_classifier("x.py", run)
