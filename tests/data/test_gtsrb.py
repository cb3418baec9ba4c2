"""GTSRB from sheets and from torchvision's folder; tracks are never split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from evofool.data import gtsrb, inspect_dataset, load_dataset
from evofool.errors import DataError
from evofool.images import encode_png

TRACKS, FRAMES = 6, 2


def picture(label: int, track: int, frame: int, side: int = 32) -> np.ndarray:
    """Its first pixel tells what it is."""
    image = np.zeros((side, side, 3), dtype=np.uint8)
    image[:] = (label, track, frame)
    return image


@pytest.fixture
def sheets(tmp_path: Path) -> Path:
    """43 classes of 6 tracks of 2 frames, and a test part of 5."""
    folder = tmp_path / "gtsrb32"
    folder.mkdir()
    rows, lines = [], ["row,label,track,frame"]
    for label in range(43):
        for track in range(TRACKS):
            for frame in range(FRAMES):
                lines.append(f"{len(rows)},{label},{track:05d},{frame}")
                rows.append(picture(label, track, frame).reshape(1, -1, 3))
    write(folder / "train.png", np.concatenate(rows))
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    tests = [picture(label, 0, 0).reshape(1, -1, 3) for label in (16, 1, 38, 33, 11)]
    write(folder / "test.png", np.concatenate(tests))
    csv = "row,label,gtsrb_file\n0,16,0.png\n1,1,1.png\n2,38,2.png\n3,33,3.png\n4,11,4.png\n"
    (folder / "test.csv").write_text(csv)
    return tmp_path


def write(path: Path, rows: np.ndarray) -> None:
    path.write_bytes(encode_png(np.ascontiguousarray(rows.transpose(2, 0, 1))))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The layout of torchvision's data set, pictures of several sizes."""
    training = tmp_path / "gtsrb" / "GTSRB" / "Training"
    for label in (0, 7):
        folder = training / f"{label:05d}"
        folder.mkdir(parents=True)
        for track in range(TRACKS):
            for frame in range(FRAMES):
                image = picture(label, track, frame, side=20 + 30 * frame)
                PIL.Image.fromarray(image).save(folder / f"{track:05d}_{frame:05d}.ppm")
    test = tmp_path / "gtsrb" / "GTSRB" / "Final_Test" / "Images"
    test.mkdir(parents=True)
    PIL.Image.fromarray(picture(5, 0, 0, 60)).save(test / "00000.ppm")
    truth = (
        "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n00000.ppm;60;60;5;5;55;55;5\n"
    )
    (tmp_path / "gtsrb" / "GT-final_test.csv").write_text(truth)
    return tmp_path


def tracks(images: np.ndarray) -> set[tuple[int, int]]:
    return {(int(image[0, 0, 0]), int(image[1, 0, 0])) for image in images}


@pytest.mark.parametrize("layout", ["sheets", "pictures"])
def test_tracks_are_on_one_side(layout: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(layout)
    train = load_dataset("gtsrb", "train", root)
    validation = load_dataset("gtsrb", "validation", root)
    classes = 43 if layout == "sheets" else 2
    assert len(train) + len(validation) == classes * TRACKS * FRAMES
    assert len(validation) == classes * FRAMES  # one track of six
    assert tracks(train.images) & tracks(validation.images) == set()
    for part in (train, validation):
        assert (part.images[:, 0, 0, 0] == part.labels).all()
        assert part.shape == (3, 32, 32)


def test_the_test_parts(sheets: Path, pictures: Path) -> None:
    test = load_dataset("gtsrb", "test", sheets)
    assert test.labels.tolist() == [16, 1, 38, 33, 11]
    assert test.label_names[14] == "stop"
    (sheets / "gtsrb32" / "test.png").unlink()  # now torchvision's is taken
    assert load_dataset("gtsrb", "test", pictures).labels.tolist() == [5]


def test_no_validation_of_what_has_none() -> None:
    assert inspect_dataset("gtsrb").splits == ("train", "validation", "test")
    assert inspect_dataset("cifar10").splits == ("train", "test")


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("train.png", lambda data: data[: len(data) // 2], r"train\.png: truncated"),
        ("train.csv", lambda data: data[: len(data) // 2], r"train\.png: 516 images but \d+ lab"),
        ("train.csv", lambda data: data[:4000] + b"\n7,", "516 images|truncated|not a number"),
        ("train.csv", lambda data: b"a,b\n1,2\n", "truncated, or without the columns label, track"),
        ("train.csv", lambda data: data.replace(b"0,0,", b"0,x,", 1), "label that is not a number"),
        ("train.csv", lambda data: data.replace(b"0,0,", b"0,43,", 1), "label 43, beyond 42"),
        ("train.csv", lambda data: b"\xff\xfe" + data, "cannot be read"),
        ("train.csv", lambda data: b"", "holds no labels"),
    ],
)
def test_damaged_sheets(
    sheets: Path, file: str, edit: Callable[[bytes], bytes], message: str
) -> None:
    path = sheets / "gtsrb32" / file
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        load_dataset("gtsrb", "train", sheets)


def test_a_truncated_picture(pictures: Path) -> None:
    path = pictures / "gtsrb" / "GTSRB" / "Training" / "00007" / "00002_00001.ppm"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"00002_00001\.ppm: .*fetch the data set again"):
        load_dataset("gtsrb", "train", pictures)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("gtsrb", "validation", tmp_path)
    for part in ("train.png", "train.csv", str(tmp_path / "gtsrb32"), "--download"):
        assert part in str(caught.value)
    assert "test.png" not in str(caught.value)


@pytest.mark.data
def test_the_real_one(real_data: Path) -> None:
    parts = [load_dataset("gtsrb", split, real_data) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [7099, 1501, 3990]
    assert all(len(np.unique(part.labels)) == gtsrb.N_CLASSES for part in parts)
