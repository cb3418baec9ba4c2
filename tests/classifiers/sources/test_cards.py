"""Each bundled net has its card in the documents, which says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.classifiers.sources.bundled import BUNDLED, WEIGHTS
from evofool.text import rate

ROOT = Path(__file__).parents[3]
CARDS = {
    part.split("\n", 1)[0]: dict(re.findall(r"^\| ([\w, ]+) \| (.+) \|$", part, re.MULTILINE))
    for part in re.split(r"^## ", (ROOT / "docs/cards.md").read_text("utf-8"), flags=re.MULTILINE)
    if "| architecture |" in part
}


def test_every_bundled_net_has_a_card() -> None:
    assert list(CARDS) == list(BUNDLED)
    for card in CARDS.values():
        told = {part for row in card for part in row.split(", ")}
        assert told == {"for", "architecture", "data", "accuracy", "training", "terms"}


@pytest.mark.parametrize("name", BUNDLED)
def test_a_card_describes_the_net(name: str) -> None:
    inspected = inspect_classifier(name)
    if not inspected.ready:
        pytest.skip(inspected.missing)
    module = load_classifier(name).module
    assert module is not None
    card, bundled = CARDS[name], BUNDLED[name]
    path = bundled.weights()
    assert path is not None
    shape = "x".join(map(str, inspected.input_shape or ()))
    assert f" {shape}" in card["for"]
    assert f" {inspected.n_classes} classes" in card["for"]
    size = path.stat().st_size / 1e6
    parameters = sum(weights.numel() for weights in module.parameters())
    assert f" {parameters:,} parameters" in card["architecture"]
    assert f" {size:.1f} MB" in card["architecture"] or f" {size:.0f} MB" in card["architecture"]
    said = card["architecture"]
    assert f"`{bundled.architecture}`" in said or f"that of `{name.removesuffix('-pgd')}`" in said


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_card_says_what_the_training_measured(path: Path) -> None:
    written, card = json.loads(path.read_text("utf-8")), CARDS[path.stem]
    accuracy = rate(written["test_accuracy"], written["test_images"])
    assert card["accuracy"].startswith(f"{accuracy} of the test pictures")
    assert accuracy in inspect_classifier(path.stem).about
    if "adversarial_accuracy" in written:
        assert f" {100 * written['adversarial_accuracy']:.1f} % of 512 " in card["accuracy"]
    assert f"trained on {written['train_images']:,} pictures" in card["data"]
    assert f"tested on {written['test_images']:,}" in card["data"]
    config = f"configs/train/{path.stem}.yaml"
    assert f"`evofool train {config} --data DIR`" in card["training"]
    assert (ROOT / config).is_file()
    if "seconds" in written:
        assert f" {written['seconds'] / 60:.0f} minutes " in card["training"]


def test_without_its_json_a_net_is_still_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    from evofool.classifiers.sources import bundled

    monkeypatch.setattr(bundled, "WEIGHTS", Path("nowhere"))
    assert inspect_classifier("mnist-lenet").about == ""
