"""``victim.yaml``: a defended victim under a name that every command takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evofool.attacks import PGD
from evofool.classifiers import Classifier, inspect_classifier, load_classifier, with_crops
from evofool.classifiers.load import forms
from evofool.data import load_dataset
from evofool.defenses.victims import BitDepthConfig, adapted, defend
from evofool.errors import EvofoolError, UsageError
from evofool.scoring import Scorer


def write(folder: Path, text: str) -> str:
    path = folder / "victim.yaml"
    path.write_text(text)
    return str(path)


def test_a_named_victim_is_the_net_behind_its_transform(tmp_path: Path) -> None:
    name = write(tmp_path, "base: mnist-lenet\ndefense: {name: bit-depth, bits: 1}\n")
    victim, base = load_classifier(name), load_classifier("mnist-lenet")
    assert victim.labels == base.labels
    assert victim.digest != base.digest
    assert victim.source is not None
    assert inspect_classifier(name).n_classes == 10
    digits = load_dataset("mnist-sample").images
    with Scorer(victim) as behind, Scorer(base, engine="torch") as plain:
        squeezed = np.where(digits >= 128, 255, 0).astype(np.uint8)
        assert behind.logits(digits) == pytest.approx(plain.logits(squeezed), abs=1e-4)
    assert "victim.yaml" in " ".join(form for form, _ in forms())


def test_adapted_attacks_break_what_hides_its_gradient(tmp_path: Path) -> None:
    victim = load_classifier(
        write(tmp_path, "base: mnist-lenet\ndefense: {name: bit-depth, bits: 3}\n")
    )
    sample = load_dataset("mnist-sample")
    images, labels = sample.images[::5], sample.labels[::5]
    attack = PGD(eps=0.3, step_size=0.03, steps=20, loss="margin")
    knowing = adapted(victim)
    assert knowing is not None
    assert adapted(knowing) is None
    assert adapted(load_classifier("mnist-lenet")) is None
    with Scorer(victim) as hidden, Scorer(knowing) as open_:
        assert np.array_equal(hidden.labels(images), open_.labels(images))
        blind = attack(hidden, images, labels)
        seeing = attack(open_, images, labels)
        # what the adapted attack found fools the real thing
        answers = hidden.labels(seeing.pixels)
    assert blind.success.mean() <= 0.1
    assert any("exactly zero" in note for note in blind.notes)
    assert seeing.success.mean() >= 0.9
    assert np.array_equal(answers != labels, seeing.success)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: mnist-lenet\ndefense: {name: jpg}\n", r"victim.yaml:2.*jpeg"),
        ("base: mnist-lenet\ndefense: {name: jpeg, quality: 0}\n", r"victim.yaml:2.*quality"),
        ("base: mnist-lenet\ndefense: {name: energy}\n", "threshold"),
        ("base: mnist-lennet\n", "mnist-lennet"),
        ("base: other.yaml\n", "cannot be defended again"),
        ("bass: mnist-lenet\n", "bass"),
        ("base: [", "victim.yaml:1"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EvofoolError, match=message):
        load_classifier(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EvofoolError, match="no such"):
        load_classifier(str(tmp_path / "nowhere.yaml"))
    found = inspect_classifier(str(tmp_path / "nowhere.yaml"))
    assert not found.ready


def test_black_boxes_and_crops(toy_victim: Classifier) -> None:
    with pytest.raises(UsageError, match="black box"):
        defend(toy_victim, BitDepthConfig(name="bit-depth"))
    crops = with_crops(load_classifier("mnist-lenet"), 10)
    with pytest.raises(UsageError, match="crops: 1"):
        defend(crops, BitDepthConfig(name="bit-depth"))
