"""``evofool drive``: signs from pictures, campaigns and attacks, and what the folder holds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evofool
from evofool.errors import FolderError, ImageError, UsageError
from evofool.experiments.driving import drive_by
from evofool.images import PROVENANCE, decode_png, encode_png, read_picture
from evofool.signs.footage import Approach

TOYS = Path(__file__).parents[1] / "toys"
VICTIM = f"{TOYS / 'exact.py'}:victim"
FEW = Approach(frames=3, far=20, near=8)


@pytest.fixture(scope="module")
def evolved(
    tmp_path_factory: pytest.TempPathFactory, toy_campaign: Callable[..., dict[str, Any]]
) -> Path:
    config = toy_campaign(stop={"generations": 2})
    return evofool.evolve(config, tmp_path_factory.mktemp("evolved") / "run").path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "sign.png"
    path.write_bytes(encode_png(np.full((3, 32, 32), 200, np.uint8)))
    return path


def test_a_campaign_is_driven_by(evolved: Path, tmp_path: Path) -> None:
    said: list[str] = []
    driven = drive_by(
        [evolved], tmp_path / "out", classifier=VICTIM, approach=FEW, film=True, say=said.append
    )
    assert len(driven.drives) == len(said) == driven.summary["signs"] == 7
    assert driven.summary["queries"] == driven.summary["frames"] == 21
    assert [one.aim.target for one in driven.drives] == list(range(7))
    assert driven.film is not None
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results.csv", "summary.json", "strip.png", driven.film.name,
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == driven.summary
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 21
    assert sum(int(row["fooled"]) for row in rows) == driven.summary["successes"]
    assert read_picture(tmp_path / "out" / "strip.png").width > 400


def test_the_same_drive_gives_the_same_bytes(evolved: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        drive_by([evolved], tmp_path / name, classifier=VICTIM, target="3", approach=FEW)
    for file in ("results.csv", "summary.json", "strip.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert [each["target"] for each in summary["each"]] == [3]
    some = drive_by([evolved], tmp_path / "some", classifier=VICTIM, target="2-4", approach=FEW)
    assert [one.aim.target for one in some.drives] == [2, 3, 4]


def test_attacks_aim_at_their_targets_or_away(tmp_path: Path) -> None:
    config = {
        "classifier": f"{TOYS / 'linear.py'}:named",
        "images": {"noise": "uniform", "count": 4},
        "attacks": [{"name": "fgsm", "eps": 0.5}, {"name": "fgsm", "eps": 0.5, "targets": 2}],
        "seed": 2,
    }
    run = evofool.attack(config, tmp_path / "run")
    fooling = [record for record in run.results() if record.success_png]
    assert {record.target for record in fooling} == {None, 2}
    driven = drive_by([run], tmp_path / "out", classifier=config["classifier"], approach=FEW)
    assert [(one.aim.target, one.aim.true) for one in driven.drives] == [
        (record.target, record.source) for record in fooling
    ]
    aimed = drive_by(
        [run], tmp_path / "two", classifier=config["classifier"], approach=FEW, target="2"
    )
    assert {one.aim.target for one in aimed.drives} == {2}


def test_pictures_say_what_they_are_for(picture: Path, tmp_path: Path) -> None:
    claim = {
        "class_index": 1, "label": "1", "confidence": 0.9, "classifier": "toy",
        "classifier_digest": "",
    }  # fmt: skip
    image = decode_png(picture.read_bytes())
    picture.write_bytes(encode_png(image, {PROVENANCE: json.dumps(claim)}))
    driven = drive_by([picture], tmp_path / "out", classifier=VICTIM, approach=FEW)
    assert driven.drives[0].aim.target == 1
    driven = drive_by([picture], tmp_path / "true", classifier=VICTIM, approach=FEW, true="1")
    assert (driven.drives[0].aim.target, driven.drives[0].aim.true) == (None, 1)
    with pytest.raises(UsageError, match="name the classifier to ask with --classifier"):
        drive_by([picture], tmp_path / "never", approach=FEW)


def test_what_cannot_be_driven_by(evolved: Path, picture: Path, tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, paths: list[Any], **options: Any) -> None:
        with pytest.raises(error, match=match):
            drive_by(paths, tmp_path / "out", **{"classifier": VICTIM, "approach": FEW, **options})
        assert not (tmp_path / "out").exists()

    refused(UsageError, "what should it be read as", [picture])
    refused(UsageError, "--target 9: no class 9", [picture], target="9")
    refused(UsageError, "no class is called", [picture], true="stop")
    refused(UsageError, "one run folder or pictures", [evolved, picture])
    refused(UsageError, "no sign", [])
    refused(UsageError, "--target fish", [evolved], target="fish")
    refused(ImageError, "no such file", [tmp_path / "none.png"], target="1")
    (tmp_path / "bomb.png").write_bytes(picture.read_bytes()[:60])
    refused(ImageError, "cannot be read as a picture", [tmp_path / "bomb.png"], target="1")
    refused(FolderError, "is not a run folder", [tmp_path], target="1")
    refused(
        UsageError, "less than a pixel", [picture], target="1", approach=Approach(far=1000)
    )  # fmt: skip
    with pytest.raises(FolderError, match="is not empty"):
        drive_by([picture], tmp_path, classifier=VICTIM, target="1")
