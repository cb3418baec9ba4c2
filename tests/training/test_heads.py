"""New last layers on trained nets and on histograms of gradients."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.data import Dataset, load_dataset
from evofool.errors import ClassifierError, Interrupted, UsageError
from evofool.experiments import training_verify
from evofool.experiments.runs import verify
from evofool.images import to_float
from evofool.scoring import Scorer
from evofool.training import TrainConfig, TrainProgress, features, heads, loop, train

FROZEN = {"backbone": {"name": "mnist-lenet"}}
TUNED = {"backbone": {"name": "mnist-lenet", "frozen": False}, "epochs": 2}
SVM = {**FROZEN, "loss": "hinge"}
HOG = {"architecture": "hog"}


def pictures(split: str) -> Dataset:
    """Of the fixture `halves`."""
    return loop.load_dataset("halves", split, None)


def config(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "name": "net",
            "dataset": "halves",
            "epochs": 8,
            "batch": 20,
            "device": "cpu",
            "optimiser": {"name": "adam", "lr": 0.003},
            **changes,
        }
    )


def load_stripes(name: str, split: str, _folder: object) -> Dataset:
    """48 grey pictures of 16 x 16, lying or upright stripes: an unsigned direction tells them."""
    rng = np.random.default_rng(0 if split == "train" else 1)
    labels = rng.integers(0, 2, 48)
    images = rng.integers(0, 60, (48, 1, 16, 16), dtype=np.uint8)
    images[..., np.arange(16) // 4 % 2 == 0] += 120
    lying = labels == 0
    images[lying] = images[lying].swapaxes(2, 3)
    return Dataset(name, split, images, labels, ("left", "right"))  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [FROZEN, TUNED, SVM, HOG, {**HOG, "loss": "hinge"}])
def test_it_learns_and_is_a_victim_like_any_other(
    halves: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    if "architecture" in changes:
        monkeypatch.setattr(loop, "load_dataset", load_stripes)
    monkeypatch.setattr(training_verify, "load_dataset", lambda _, split: pictures(split))
    result = train(config(**changes), None, tmp_path)
    assert result.test_accuracy > 0.9
    assert not [check for check in verify(result.card) if not check.ok]  # measures it again
    victim = load_classifier(str(result.weights))
    assert (victim.input_shape, victim.labels) == ((1, 16, 16), ("left", "right"))
    assert inspect_classifier(str(result.weights)).ready
    test = pictures("test")
    with Scorer(victim, workers=1) as scorer:  # by a graph on the CPU
        assert (scorer.labels(test.images) == test.labels).mean() == result.test_accuracy
        assert scorer.engine == "onnxruntime"
        slope = scorer.gradients(test.images[:2], lambda outputs, _: outputs[:, 0])
    assert (np.abs(slope.values).max(axis=(1, 2, 3)) > 0).all()


def test_a_head_on_a_frozen_backbone_is_stored_alone(halves: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    result = train(config(**FROZEN), None, tmp_path)
    assert set(load_file(result.weights)) == {"head.weight", "head.bias"}
    backbone, victim = load_classifier("mnist-lenet"), load_classifier(str(result.weights))
    assert victim.module is not None
    assert backbone.module is not None
    ours, theirs = (
        next(part.weight for part in net.module.modules() if isinstance(part, nn.Conv2d))
        for net in (victim, backbone)
    )
    assert torch.equal(ours, theirs)
    card = json.loads(result.card.read_text())
    assert card["backbone"]["digest"] == backbone.digest
    card["backbone"]["digest"] = "0" * 64
    result.card.write_text(json.dumps(card))
    with pytest.raises(ClassifierError, match="its head was trained on another mnist-lenet"):
        load_classifier(str(result.weights))


def test_fine_tuning_changes_the_backbone_and_stores_it(halves: str, tmp_path: Path) -> None:
    result = train(config(**TUNED), None, tmp_path)
    tuned, before = load_classifier(str(result.weights)), load_classifier("mnist-lenet")
    assert tuned.module is not None
    assert before.module is not None
    weights = [part.weight for part in tuned.module.modules() if isinstance(part, nn.Conv2d)]
    old = [part.weight for part in before.module.modules() if isinstance(part, nn.Conv2d)]
    assert [w.shape for w in weights] == [w.shape for w in old]
    assert not any(torch.equal(a, b) for a, b in zip(weights, old, strict=True))


@pytest.mark.parametrize("changes", [SVM, TUNED])
def test_a_stopped_training_ends_with_the_same_bytes(
    halves: str, tmp_path: Path, changes: dict[str, Any]
) -> None:
    whole = train(config(**changes), None, tmp_path / "whole")
    seen: list[TrainProgress] = []
    with pytest.raises(Interrupted, match="stopped after step 3"):
        train(
            config(**changes), None, tmp_path / "parts", seen.append,
            should_stop=lambda: bool(seen) and seen[-1].step >= 3,
        )  # fmt: skip
    again = train(config(**changes), None, tmp_path / "parts")
    assert again.weights.read_bytes() == whole.weights.read_bytes()


def test_features_are_calculated_once(
    halves: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOFOOL_CACHE", str(tmp_path / "cache"))
    first = train(config(**FROZEN), None, tmp_path / "first")
    kept = sorted((tmp_path / "cache" / "features").iterdir())
    assert len(kept) == 2  # of the training and the test pictures

    def never(*_: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(features.Features, "_calculated", never)
        again = train(config(**FROZEN), None, tmp_path / "again")
        assert again.sha256 == first.sha256
        sister = train(config(**FROZEN, seed=2), None, tmp_path / "sister")
        assert sister.sha256 != first.sha256
    content = bytearray(kept[0].read_bytes())
    content[-1] ^= 1  # what is damaged is calculated anew
    kept[0].write_bytes(bytes(content))
    assert train(config(**FROZEN), None, tmp_path / "anew").sha256 == first.sha256


def test_it_can_be_stopped_while_features_are_calculated(
    halves: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOFOOL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(Interrupted, match=r"at the features of picture 0 of 96"):
        train(config(**FROZEN), None, tmp_path, should_stop=lambda: True)


def test_a_machine_is_calibrated_on_pictures_that_it_has_not_seen(
    halves: str, tmp_path: Path
) -> None:
    data = pictures("train")
    shown, held_out = heads.split(config(**SVM), data)
    assert held_out is not None
    assert len(shown) + len(held_out) == 96
    for label in (0, 1):
        own = data.images[data.labels == label]
        count = int((held_out.labels == label).sum())
        assert count == len(own) // 10
        np.testing.assert_array_equal(held_out.images[held_out.labels == label], own[-count:])
    result = train(config(**SVM), None, tmp_path)
    card = json.loads(result.card.read_text())
    assert card["calibration"]["pictures"] == len(held_out)
    # what is stored is calibrated: no other temperature fits better
    victim = load_classifier(str(result.weights))
    assert victim.module is not None
    logits = victim.module(torch.from_numpy(to_float(held_out.images))).double()
    labels = torch.from_numpy(held_out.labels)
    costs = [float(nn.functional.cross_entropy(logits / t, labels)) for t in (0.9, 1.0, 1.1)]
    at_the_border = card["calibration"]["temperature"] < 0.01  # all are right, by far
    assert at_the_border or min(costs) == costs[1]


def test_the_hinge_finds_the_machine_that_liblinear_finds() -> None:
    svm = pytest.importorskip("sklearn.svm")
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 150)
    points = rng.normal(size=(150, 5)).astype(np.float32) + 1.5 * np.eye(3, 5)[labels]
    decay = 0.02
    head = nn.Linear(5, 3)
    from evofool.training import OptimiserConfig, fit

    fit(
        nn.Sequential(nn.Flatten(), head),
        points.astype(np.float32)[:, :, None, None],
        labels,
        epochs=600,
        batch=150,
        optimiser=OptimiserConfig(name="sgd", lr=0.02, momentum=0.9, weight_decay=decay),
        loss=heads_loss(),
    )
    # LIBLINEAR penalises the bias too, as the weight of a feature that is always 1
    wanted = svm.LinearSVC(C=1 / (150 * decay), tol=1e-8, max_iter=100_000)
    wanted.fit(points, labels)
    np.testing.assert_allclose(head.weight.detach().numpy(), wanted.coef_, atol=0.01)
    np.testing.assert_allclose(head.bias.detach().numpy(), wanted.intercept_, atol=0.01)


def heads_loss() -> Any:
    from evofool.training.losses import loss_of

    return loss_of("hinge")


def test_a_limit_is_spread_over_the_split(halves: str, tmp_path: Path) -> None:
    data = pictures("train")
    np.testing.assert_array_equal(data.spread(4).images, data.images[[0, 24, 48, 72]])
    assert data.spread(None) is data.spread(96) is data
    result = train(config(**FROZEN, limit=30), None, tmp_path)
    assert json.loads(result.card.read_text())["train_images"] == 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({**FROZEN, "shift": 1}, "shift does not work with features that are computed once"),
        ({**HOG, "mirror": True}, "mirror does not work with features that are computed once"),
        (
            {**FROZEN, "adversary": {"kind": "fgsm", "eps": 0.1}},
            "adversary does not work with features",
        ),
        ({**FROZEN, "architecture": "lenet"}, "backbone and architecture: backbone go together"),
        ({"architecture": "backbone"}, "backbone and architecture: backbone go together"),
        ({"loss": "hinge"}, "loss hinge works only with a linear layer on features"),
        (
            {"backbone": {"name": "victim.py:make"}},
            "'victim.py:make' is not a bundled net; known: ",
        ),
        ({"backbone": {"name": "mnist-lenet", "depth": 1}}, "Extra inputs"),
    ],
)
def test_bad_configs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        config(**changes)


def test_a_side_that_does_not_fit(halves: str, tmp_path: Path) -> None:
    wrong = {"backbone": {"name": "mnist-lenet", "input": 64}}
    with pytest.raises(ClassifierError, match="input: 64 pixels do not fit it; leave input out"):
        train(config(**wrong), None, tmp_path)
    odd = {"backbone": {"name": "mnist-lenet", "input": 60}}
    with pytest.raises(ClassifierError, match="neither its own side, 28, nor a multiple of 32"):
        train(config(**odd), None, tmp_path)


def test_another_backbone_is_another_training(halves: str, tmp_path: Path) -> None:
    seen: list[TrainProgress] = []
    with pytest.raises(Interrupted):
        train(config(**FROZEN), None, tmp_path, seen.append, should_stop=lambda: bool(seen))
    other = {"backbone": {"name": "fashion-lenet"}}
    with pytest.raises(UsageError, match=r"to another training: config\.backbone\.name"):
        train(config(**other), None, tmp_path)


@pytest.mark.data
@pytest.mark.skipif("EVOFOOL_DATA" not in os.environ, reason="EVOFOOL_DATA is not set")
def test_signs_by_the_features_of_an_imagenet_net(tmp_path: Path) -> None:
    """430 signs at 64 pixels: the first layers of an ImageNet net are worth something there."""
    signs = {
        "dataset": "gtsrb",
        "limit": 430,
        "backbone": {"name": "imagenet-efficientnet-lite0", "input": 64},
        "epochs": 30,
    }
    settings = config(**signs)
    test = load_dataset("gtsrb", "test").spread(200)
    made = heads.prepare(settings, load_dataset("gtsrb", "train").spread(430), test,
                         torch.device("cpu"))  # fmt: skip
    assert made.train.images.shape == (430, 1280, 1, 1)
    from evofool.training import fit, measure_accuracy

    fit(made.net, made.train.images, made.train.labels, epochs=30, optimiser=settings.optimiser)
    assert measure_accuracy(made.net, made.test) > 0.3  # chance is .02
