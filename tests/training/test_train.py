"""Training learns, repeats itself from the seed, and leaves whole files with a true card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from evofool.classifiers import load_classifier
from evofool.training import TrainConfig, TrainProgress, train
from evofool.training.batches import augment

CONFIGS = Path(__file__).parents[2] / "configs" / "train"


def config(dataset: str, **changes: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {"name": "net", "dataset": dataset, "epochs": 4, "batch": 20, "shift": 1, **changes}
    )


def test_it_learns_and_reports(halves: str, tmp_path: Path) -> None:
    seen: list[TrainProgress] = []
    result = train(config(halves), None, tmp_path / "new", seen.append)
    assert result.test_accuracy > 0.95
    assert [entry.step for entry in seen] == list(range(1, 21))
    assert [entry.test_accuracy is not None for entry in seen] == ([False] * 4 + [True]) * 4
    assert seen[-1].test_accuracy == result.test_accuracy
    assert (seen[-1].epoch, seen[-1].epochs, seen[-1].steps) == (4, 4, 20)
    assert seen[-1].accuracy is not None
    assert seen[-1].accuracy > 0.9
    assert seen[-1].seconds_left == 0


def test_the_card_is_true(halves: str, tmp_path: Path) -> None:
    result = train(config(halves, seed=7), None, tmp_path)
    card = json.loads(result.card.read_text(encoding="utf-8"))
    assert card["sha256"] == result.sha256
    assert result.sha256 == hashlib.sha256(result.weights.read_bytes()).hexdigest()
    assert card["test_accuracy"] == result.test_accuracy
    assert card["config"]["epochs"] == 4
    assert card["seed"] == 7
    assert card["labels"] == ["left", "right"]
    assert set(card["versions"]) == {"evofool", "python", "torch", "numpy"}
    assert str(tmp_path) not in result.card.read_text(encoding="utf-8")


def test_what_was_trained_can_be_loaded(halves: str, tmp_path: Path) -> None:
    result = train(config(halves), None, tmp_path)
    classifier = load_classifier(
        {"name": "lenet", "weights": str(result.weights), "input_shape": [1, 16, 16]}
    )
    assert classifier.n_classes == 2


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_same_seed_gives_the_same_bytes(halves: str, tmp_path: Path, name: str) -> None:
    settings = config(halves, epochs=1, mirror=True, optimiser={"name": name, "lr": 0.001})
    first = train(settings, None, tmp_path / "a")
    torch.rand(3)  # the global generator plays no part
    np.random.rand(3)  # noqa: NPY002
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    second = train(settings, None, tmp_path / "b")
    assert second.weights.read_bytes() == first.weights.read_bytes()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    other = train(settings.model_copy(update={"seed": 2}), None, tmp_path / "c")
    assert other.sha256 != first.sha256


def test_nothing_else_is_left_behind(halves: str, tmp_path: Path) -> None:
    train(config(halves, epochs=1), None, tmp_path)
    train(config(halves, epochs=1), None, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.json", "net.safetensors"]


def test_shifts_move_and_mirrors_flip() -> None:
    images = np.zeros((200, 1, 5, 5), dtype=np.uint8)
    images[:, :, 2, 2] = 9
    moved = augment(images, 1, False, np.random.default_rng(0))
    assert (moved.sum(axis=(1, 2, 3)) == 9).all()
    places = {tuple(np.argwhere(image[0])[0]) for image in moved}
    assert places == {(y, x) for y in (1, 2, 3) for x in (1, 2, 3)}
    images[:, :, 2, 4], images[:, :, 2, 2] = 9, 0
    flipped = augment(images, 0, True, np.random.default_rng(0))
    assert 60 < (flipped[:, 0, 2, 0] == 9).sum() < 140
    assert np.array_equal(augment(images, 0, False, np.random.default_rng(0)), images)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_those_of_the_cards(path: Path) -> None:
    shipped = TrainConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    weights = Path(load_classifier.__code__.co_filename).parent / "weights"
    assert shipped.name == path.stem
    card = weights / f"{shipped.name}.json"
    if card.is_file():  # it ships
        written = json.loads(card.read_text(encoding="utf-8"))["config"]
        assert TrainConfig.model_validate(written) == shipped
