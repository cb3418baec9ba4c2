"""Where images come from: folders, data sets, noise; and what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.attacks.sources import Sample, open_source
from evofool.classifiers import Classifier, load_classifier
from evofool.config import load_attacks
from evofool.errors import ConfigError, ImageError
from evofool.images import encode_png

TOY = Path(__file__).parents[1] / "toys" / "linear.py"


@pytest.fixture(scope="module")
def victim() -> Classifier:
    return load_classifier(f"{TOY}:named")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, one of them deeper, and a text."""
    root = tmp_path / "pictures"
    (root / "one").mkdir(parents=True)
    for number, name in enumerate(["a_0.png", "b_1.png", "c_uno.PNG", "one/d.png"]):
        pixels = np.full((1, 6, 6), number, np.uint8)
        (root / name).write_bytes(encode_png(pixels))
    (root / "notes.txt").write_text("no picture")
    return root


def samples(victim: Classifier, **images: Any) -> list[Sample]:
    loaded = load_attacks(
        {"classifier": f"{TOY}:victim", "images": images, "attacks": ["fgsm"], "seed": 5}
    )
    source = open_source(loaded, victim)
    return [source.sample(i) for i in range(len(source))]


def fails(victim: Classifier, **images: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        samples(victim, **images)
    return str(caught.value)


def test_a_folder_in_the_order_of_its_names(victim: Classifier, folder: Path) -> None:
    found = samples(victim, folder=folder)
    assert [s.source for s in found] == ["a_0.png", "b_1.png", "c_uno.PNG"]
    assert [int(s.pixels[0, 0, 0]) for s in found] == [0, 1, 2]
    assert [s.label for s in found] == [-1, -1, -1]
    assert [s.source for s in samples(victim, folder=folder, offset=1, limit=1)] == ["b_1.png"]


def test_labels_from_names(victim: Classifier, folder: Path) -> None:
    found = samples(victim, folder=folder, labels="*_{class}")
    assert [s.label for s in found] == [0, 1, 1]
    (deep,) = samples(victim, folder=folder, labels="{class}/*")
    assert (deep.source, deep.label) == ("one/d.png", 1)


def test_labels_from_a_file(victim: Classifier, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("file,more,label\nc_uno.PNG,x,6\none/d.png,,ZERO\n../secret.png,,1\n")
    found = samples(victim, folder=folder, labels=str(file))
    assert [(s.source, s.label) for s in found] == [("c_uno.PNG", 6), ("one/d.png", 0)]


def test_pictures_of_any_size_become_inputs(victim: Classifier, folder: Path) -> None:
    big = np.random.default_rng(1).integers(0, 256, (3, 40, 90), dtype=np.uint8)
    (folder / "0.png").write_bytes(encode_png(big))
    assert samples(victim, folder=folder, limit=1)[0].pixels.shape == (1, 6, 6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,label\na_0.png,1\n", "columns `file` and `label`"),
        ("file,label\na_0.png,7\n", "no class 7"),
        ("file,label\na_0.png,-1\n", "no class is called '-1'"),
        ("file,label\na_0.png,dog\n", "labels.csv:2: no class is called 'dog'"),
        ("file,label\na_0.png,1\na_0.png,2\n", "labels.csv:3: a_0.png stands there twice"),
        ("file,label\n\x00", "labels.csv"),
        ("file,label\nother.png,1\n", "without a label"),
        ("", "columns"),
    ],
)
def test_bad_label_files(
    victim: Classifier, folder: Path, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    assert words in fails(victim, folder=folder, labels=str(file))


def test_a_label_file_that_is_no_text(victim: Classifier, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(b"file,label\n\xff\xfe")
    assert "cannot be used as labels" in fails(victim, folder=folder, labels=str(file))


def test_bad_folders(victim: Classifier, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in fails(victim, folder=tmp_path / "empty")
    assert "no such folder" in fails(victim, folder=tmp_path / "absent")
    assert "no such file" in fails(victim, folder=folder, labels="absent.csv")
    assert "no picture is called like x_{class}" in fails(victim, folder=folder, labels="x_{class}")
    assert "a_0.png: no class 0" not in fails(victim, folder=folder, labels="{class}")
    assert "holds {class} once" in fails(victim, folder=folder, labels="{class}_{class}")
    assert "before offset 9" in fails(victim, folder=folder, offset=9)


def test_a_damaged_picture_is_named(victim: Classifier, folder: Path) -> None:
    (folder / "a_0.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"a_0\.png"):
        samples(victim, folder=folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_and_links_to_folders_are_passed_over(victim: Classifier, folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "one" / "loop").symlink_to(folder)
    assert len(samples(victim, folder=folder)) == 3
    assert len(samples(victim, folder=folder, labels="{class}/*")) == 1


def test_hostile_names(victim: Classifier, folder: Path) -> None:
    (folder / "=cmd()\x1b[2J\n.png").write_bytes(encode_png(np.zeros((1, 6, 6), np.uint8)))
    names = [s.source for s in samples(victim, folder=folder)]
    assert "=cmd() [2J .png" in names


def test_noise_depends_on_the_index_alone(victim: Classifier) -> None:
    for kind in ("uniform", "normal"):
        few, many = (samples(victim, noise=kind, count=n) for n in (3, 9))
        assert all((a.pixels == b.pixels).all() for a, b in zip(few, many, strict=False))
        assert (few[0].pixels != few[1].pixels).any()
        (later,) = samples(victim, noise=kind, count=9, offset=4, limit=1)
        assert (later.pixels == many[4].pixels).all()
    assert (samples(victim, noise="grey", count=1)[0].pixels == 127).all()


def test_a_data_set(victim: Classifier) -> None:
    lenet = load_classifier("mnist-lenet")
    found = samples(lenet, dataset="mnist-sample", classes=[3, "7"], limit=11)
    assert [s.label for s in found] == [3] * 10 + [7]
    assert found[0].source == "mnist-sample:30"
    assert samples(lenet, dataset="mnist-sample", labels="victim")[0].label == -1
    assert "other classes" in fails(victim, dataset="mnist-sample")
    small = samples(victim, dataset="mnist-sample", labels="victim", limit=1)
    assert small[0].pixels.shape == (1, 6, 6)
    assert "unknown" in fails(lenet, dataset="imagenet")
    assert "no split" in fails(lenet, dataset="mnist-sample", split="train")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ({}, "exactly one of folder, dataset and noise, not none"),
        ({"noise": "grey", "dataset": "mnist"}, "not dataset and noise"),
        ({"noise": "grey", "split": "test"}, "split belongs to dataset"),
        ({"dataset": "mnist-sample", "count": 3}, "count belongs to noise"),
        ({"noise": "grey", "labels": "x.csv"}, "can only be `victim`"),
        ({"noise": "pink"}, "one of uniform, normal, dim, grey"),
        ({"noise": "grey", "count": 0}, "at least 1"),
        ({"noise": "grey", "limit": -1}, "at least 1"),
    ],
)
def test_bad_sections(victim: Classifier, images: dict[str, Any], words: str) -> None:
    message = fails(victim, **images)
    assert "images" in message
    assert words in message
