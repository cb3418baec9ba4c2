"""Where images come from: folders, data sets, noise; and what is wrong with them."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.classifiers import Classifier, load_classifier
from evofool.config import load_attacks
from evofool.errors import ConfigError, FolderError, ImageError, Interrupted
from evofool.experiments.attack.picture_labels import by_file
from evofool.experiments.attack.plan import plan
from evofool.experiments.attack.sources import Sample, Source, open_source, read_samples
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
from evofool.images import encode_png

attack, resume_attacks = partial(life.begin, AttackStudy), partial(life.resume, AttackStudy)

TOY = Path(__file__).parents[2] / "toys" / "linear.py"


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


def config(**images: Any) -> dict[str, Any]:
    return {"classifier": f"{TOY}:named", "images": images, "attacks": ["fgsm"], "seed": 5}


def opened(victim: Classifier, **images: Any) -> Source:
    return open_source(load_attacks(config(**images)), victim)


def samples(victim: Classifier, **images: Any) -> list[Sample]:
    source = opened(victim, **images)
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
        ("file,label\na_0.png,1\na_0.png,2\n", "labels.csv:3: a_0.png occurs twice"),
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
    assert "no picture matches x_{class}" in fails(victim, folder=folder, labels="x_{class}")
    assert "a_0.png: no class 0" not in fails(victim, folder=folder, labels="{class}")
    assert "must have {class} once" in fails(victim, folder=folder, labels="{class}_{class}")
    assert "before offset 9" in fails(victim, folder=folder, offset=9)


def spoil(folder: Path) -> None:
    """What lies in people's folders: macOS's ``._`` files, empty, truncated and other files."""
    whole = (folder / "a_0.png").read_bytes()
    (folder / "._a_0.png").write_bytes(b"\0\5\x16\7Mac OS X")
    (folder / "empty.png").write_bytes(b"")
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "page.jpg").write_text("<!doctype html>")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")


def test_what_cannot_be_read_is_left_out_and_told(victim: Classifier, folder: Path) -> None:
    spoil(folder)
    source = opened(victim, folder=folder)
    assert source.notes == (
        "1 of macOS's ._ files left out, since they hold no picture",
        "1 name (gone.png) left out, not a regular file",
    )
    found, notes = read_samples(source, range(len(source)))
    assert [s.source for s in found] == ["a_0.png", "b_1.png", "c_uno.PNG"]
    (note,) = notes
    assert note.startswith("3 pictures are left out: empty.png: ")
    for words in (
        "the file is empty",
        "half.png: ",
        "page.jpg: ",
        "not a picture of a supported kind",
    ):
        assert words in note
    with pytest.raises(ImageError, match=r"^empty\.png: "):
        source.sample(3)


def test_a_run_over_a_folder_with_faults_ends_and_tells_them(
    victim: Classifier, folder: Path, tmp_path: Path
) -> None:
    spoil(folder)
    result = attack(config(folder=str(folder)), tmp_path / "run")
    assert result.summary["images"] == 3
    assert [note.split(" left out")[0] for note in result.summary["notes"]] == [
        "1 of macOS's ._ files",
        "1 name (gone.png)",
        "3 pictures are",
    ]
    planned = plan(load_attacks(config(folder=str(folder))))
    assert planned.notes == tuple(result.summary["notes"])


def test_a_run_goes_on_after_pictures_that_were_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after the chunks of one picture each that hold a good one, a bad one."""
    monkeypatch.setattr("evofool.experiments.attack.works.CLEAN_CHUNK", 1)
    (folder / "a_1.png").write_bytes(b"")
    whole = attack(config(folder=str(folder)), tmp_path / "whole")
    for stop in range(1, 5):
        run = tmp_path / f"run{stop}"
        asked = iter(range(100))
        with pytest.raises(Interrupted):
            attack(config(folder=str(folder)), run, should_stop=lambda: next(asked) >= stop)  # noqa: B023
        result = resume_attacks(run)
        assert result.summary["notes"] == whole.summary["notes"]
        assert result.summary["images"] == 3
        assert result.summary["attacks"][0]["norms"] == whole.summary["attacks"][0]["norms"]


def test_a_run_does_not_go_on_with_other_pictures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evofool.experiments.attack.works.CLEAN_CHUNK", 2)
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        attack(config(folder=str(folder)), tmp_path / "run", should_stop=lambda: next(asked) >= 1)
    (folder / "b_1.png").write_bytes(b"")
    with pytest.raises(FolderError, match="its images have changed"):
        resume_attacks(tmp_path / "run")


def test_a_folder_without_any_picture_that_can_be_used(folder: Path, tmp_path: Path) -> None:
    for name in ("a_0.png", "b_1.png", "c_uno.PNG"):
        (folder / name).write_bytes(b"")
    for run in (lambda: attack(config(folder=str(folder)), tmp_path / "run"),
                lambda: resume_attacks(tmp_path / "run"),
                lambda: plan(load_attacks(config(folder=str(folder))))):  # fmt: skip
        with pytest.raises(ConfigError, match=r"images.*no picture can be used: .*a_0\.png"):
            run()


def test_slivers_are_left_out(victim: Classifier, folder: Path) -> None:
    (folder / "sliver.png").write_bytes(encode_png(np.zeros((1, 3_000_000, 1), np.uint8)))
    found, notes = read_samples(opened(victim, folder=folder), range(4))
    assert len(found) == 3
    assert "sliver.png: a picture of 1 x 3000000 is too narrow" in notes[0]


def test_names_with_accents_are_the_same_however_they_are_composed(
    victim: Classifier, folder: Path, tmp_path: Path
) -> None:
    forms = ["jalape\u00f1o.png", "jalapen\u0303o.png"]
    for name, other in (forms, forms[::-1]):
        (folder / name).write_bytes(encode_png(np.zeros((1, 6, 6), np.uint8)))
        file = tmp_path / "labels.csv"
        file.write_text(f"file,label\n{other},2\n", encoding="utf-8")
        (found,) = samples(victim, folder=folder, labels=str(file))
        assert (found.source, found.label) == ("jalape\u00f1o.png", 2)
        (folder / name).unlink()


def test_two_pictures_whose_names_look_alike_keep_their_own_labels(
    victim: Classifier, folder: Path, tmp_path: Path
) -> None:
    names = ["\u00e9.png", "e\u0301.png"]
    for level, name in enumerate(names):
        (folder / name).write_bytes(encode_png(np.full((1, 6, 6), level, np.uint8)))
    file = tmp_path / "labels.csv"
    file.write_text(f"file,label\n{names[0]},4\n{names[1]},5\n", encoding="utf-8")
    found = samples(victim, folder=folder, labels=str(file))
    assert sorted((int(s.pixels[0, 0, 0]), s.label) for s in found) == [(0, 4), (1, 5)]


def test_rows_and_pictures_without_each_other_are_told(
    victim: Classifier, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("file,label\na_0.png,0\none\\d.png,1\nx.png,1\ny.png,2\n")
    source = opened(victim, folder=folder, labels=str(file))
    assert [source.sample(i).source for i in range(len(source))] == ["a_0.png", "one/d.png"]
    assert source.notes == (
        "2 pictures (b_1.png, c_uno.PNG) left out, without a label",
        "2 rows (x.png, y.png) of labels.csv without a picture in the folder",
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_label_file_that_is_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path, what in ((tmp_path / "pipe.csv", "named pipe"), (Path("/dev/zero"), "device")):
        with pytest.raises(ConfigError, match=what):
            by_file(path, ("a", "b"), ConfigError("here: "))


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


def test_classes_of_a_data_set_go_by_index_where_that_is_asked_for(victim: Classifier) -> None:
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    lenet = replace(load_classifier("mnist-lenet"), labels=names)
    assert "`labels: index` to match classes by index" in fails(lenet, dataset="mnist-sample")
    source = opened(lenet, dataset="mnist-sample", labels="index")
    assert [source.sample(i).label for i in (0, 10, 99)] == [0, 1, 9]
    assert source.notes[0].startswith(
        "classes are matched by index where names differ: 0 is 'zero' for '0', 1 is 'one' for '1'"
    )
    assert "cannot be matched by index with 7" in fails(
        victim, dataset="mnist-sample", labels="index"
    )


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
