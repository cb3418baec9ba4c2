"""``evofool drive --lenticular``: two pictures, two classes, one sign."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.classifiers import from_predict
from evofool.errors import UsageError
from evofool.experiments.lenticular import ANGLES, lenticular_drive
from evofool.images import encode_png, read_picture
from evofool.signs.footage import Approach

SOME = Approach(frames=8, far=30, near=6)


def colours(images: np.ndarray) -> np.ndarray:
    """How much of each colour a picture has."""
    means = images.reshape(len(images), 3, -1).mean(2)
    return np.exp(means / 32) / np.exp(means / 32).sum(1, keepdims=True)


VICTIM = from_predict(colours, labels=("red", "green", "blue"), input_shape=(3, 8, 8))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    for name, colour in (("red", (250, 10, 10)), ("blue", (10, 10, 250))):
        image = np.array(colour, np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
        (tmp_path / f"{name}.png").write_bytes(encode_png(image))
    return [tmp_path / "red.png", tmp_path / "blue.png"]


def test_each_side_is_counted(pictures: list[Path], tmp_path: Path) -> None:
    driven = lenticular_drive(pictures, tmp_path / "out", classifier=VICTIM, approach=SOME)
    sides = driven.summary["lenticular"]
    assert (sides["first"]["class"], sides["second"]["class"]) == (0, 2)
    assert sides["first"]["frames"] + sides["second"]["frames"] == 8
    assert sides["first"]["successes"] >= sides["first"]["frames"] - 1 > 0
    assert sides["second"]["successes"] >= sides["second"]["frames"] - 1 > 0
    assert driven.summary["queries"] == 2 + len(ANGLES) + 8  # what each shows, the curve, the drive
    out = tmp_path / "out"
    assert json.loads((out / "summary.json").read_text()) == driven.summary
    with (out / "angles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["angle_deg"]) for row in rows] == pytest.approx(ANGLES, abs=0.01)
    assert [rows[0]["read_label"], rows[-10]["read_label"]] == ["red", "blue"]
    assert read_picture(out / "print.png").size == (512, 256)
    assert (out / "angles.png").is_file()


def test_what_is_no_lenticular_sign(pictures: list[Path], tmp_path: Path) -> None:
    def refused(match: str, paths: list[Any], **options: Any) -> None:
        with pytest.raises(UsageError, match=match):
            lenticular_drive(
                paths, tmp_path / "out", classifier=VICTIM, approach=SOME, **options
            )  # fmt: skip
        assert not (tmp_path / "out").exists()

    refused("has two pictures", pictures[:1])
    refused("has two pictures", [pictures[0], tmp_path])
    refused("both pictures are 'red'", [pictures[0], pictures[0]])
    refused("both pictures are 'green'", pictures, target="green", true="green")
    refused("--target yellow", pictures, target="yellow")
