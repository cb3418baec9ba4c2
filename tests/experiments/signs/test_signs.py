"""``kind: signs`` end to end on a tiny linear net, its counts held against the saved pictures."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.classifiers import load_classifier
from evofool.errors import ConfigError
from evofool.experiments.engine import Results
from evofool.experiments.engine.life import begin
from evofool.experiments.runs import status, verify
from evofool.experiments.signs.driven import DrivenRow, SignsDriven, drive_of, metres, parts
from evofool.experiments.signs.study import SignsStudy, plan, plan_lines
from evofool.experiments.signs.summary import sentences
from evofool.experiments.signs.views import at_angle, from_afar, turned
from evofool.images import decode_png, encode_png
from evofool.scoring import Scorer
from evofool.signs.drive import Aim, drive
from evofool.signs.footage import Approach, Footage
from evofool.signs.plates import make_sign
from evofool.store.experiment import ExperimentFolder

SIDE, CLASSES, PICTURES, FRAMES = 8, 4, 3, 2
NETS = f"""
import torch
from torch import nn

from evofool.classifiers import Classifier, from_module, from_predict

LABELS = ["ahead", "bend", "cross", "dip"]


def tiny(seed=1, channels=3, name="tiny") -> Classifier:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(channels * {SIDE * SIDE}, {CLASSES}))
    shape = (channels, {SIDE}, {SIDE})
    return from_module(net, input_shape=shape, name=name, labels=LABELS)


def other() -> Classifier:
    return tiny(2, name="other")


def grey() -> Classifier:
    return tiny(3, 1, name="grey")


def black() -> Classifier:
    def predict(images):
        return (images.reshape(len(images), -1) / 255.0)[:, :{CLASSES}]

    return from_predict(
        predict, input_shape=(3, {SIDE}, {SIDE}), output="logits", name="black", labels=LABELS
    )
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signs")
    (path / "nets.py").write_text(NETS)
    (path / "photographs").mkdir()
    rng = np.random.default_rng(1)
    for c, label in enumerate(("ahead", "bend", "cross", "dip")):
        pixels = rng.integers(40, 200, (3, SIDE, SIDE)).astype(np.uint8)
        (path / "photographs" / f"{c}_{label}.png").write_bytes(encode_png(pixels))
    return path


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "signs",
        "nets": [f"{folder / 'nets.py'}:tiny", f"{folder / 'nets.py'}:other"],
        "images": {"folder": str(folder / "photographs"), "labels": "*_{class}"},
        "pictures": PICTURES,
        "attacks": [
            {"name": "sign-embedding", "steps": 15, "search_steps": 2, "confidence": 0.6},
            {"name": "sign-evolution", "confidence": 0.6},
        ],
        "transforms": {"k": 2, "brightness": 0.1},
        "held_back": 4,
        "sides": [8, 4],
        "angles": [0, 30],
        "frames": FRAMES,
        "print": {"width_mm": 100, "dpi": 60},
        **changes,
    }


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    begin(SignsStudy, config(folder), folder / "run", command="evofool run toy.yaml")
    return folder / "run"


def table(run: Path, name: str) -> list[dict[str, str]]:
    with (run / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def painted(run: Path, row: str, net: str, method: str) -> NDArray[np.uint8]:
    """The pictures of the page, which are those that were judged."""
    files = sorted((run / "report" / "pictures").glob(f"{row}-{net}-{method}-*.png"))
    return np.stack([decode_png(file.read_bytes()) for file in files])


def page_targets(run: Path, title: str) -> list[int]:
    """The targets that the page names below the pictures of a section."""
    page = (run / "report" / "index.html").read_text()
    section = page[page.index(f"<h2>{title}") :]
    names = re.findall(r"<bdi>(\w+)</bdi>", section[: section.find("</section>")])
    return [("ahead", "bend", "cross", "dip").index(name) for name in names]


def test_a_line_for_each_picture_net_and_method(finished: Path) -> None:
    lines = table(finished, "signs.csv")
    assert len(lines) == 3 * 2 * 2
    assert {line["picture"] for line in lines} == {"in-distribution", "logo", "custom"}
    assert {line["n"] for line in lines} == {str(PICTURES)}
    summary = json.loads((finished / "summary.json").read_text())
    for line in summary["lines"]:
        assert line["transformed"]["successes"] <= PICTURES * 4
        assert line["under_all"]["successes"] * 4 <= line["transformed"]["successes"]
        assert len(line["afar"]) == len(line["turned"]) == 2
        # side 8 is the picture's own and 0 degrees face it
        assert line["afar"][0] == line["turned"][0] == line["untransformed"]
    views = table(finished, "views.csv")
    assert len(views) == 12 * (4 + FRAMES)


def test_successes_are_those_of_the_saved_pictures(finished: Path, folder: Path) -> None:
    net = load_classifier(f"{folder / 'nets.py'}:other")
    pictures = painted(finished, "logo", "other", "sign-embedding")
    summary = json.loads((finished / "summary.json").read_text())
    (line,) = [
        line
        for line in summary["lines"]
        if (line["row"], line["net"], line["method"]) == ("logo", "other", "sign-embedding")
    ]
    with Scorer(net) as scorer:
        sure = scorer.confidence(pictures)
    assert len(pictures) == PICTURES
    targets = page_targets(finished, "sign-embedding on other: logos")
    found = (sure.argmax(axis=1) == targets).sum()
    assert line["untransformed"]["successes"] == found
    median = float(np.median(sure[np.arange(PICTURES), targets]))
    assert line["median_confidence"] == pytest.approx(median, rel=1e-4)


def test_frames_of_the_drive_are_those_of_the_saved_pictures(finished: Path, folder: Path) -> None:
    pictures = painted(finished, "custom", "tiny", "sign-embedding")
    targets = page_targets(finished, "sign-embedding on tiny: blank boards")
    with Scorer(load_classifier(f"{folder / 'nets.py'}:tiny")) as scorer:
        drives = [
            drive(scorer, Footage(make_sign(picture), Approach(frames=FRAMES), k), Aim(target))
            for k, (picture, target) in enumerate(zip(pictures, targets, strict=True))
        ]
    summary = json.loads((finished / "summary.json").read_text())
    (line,) = [
        line
        for line in summary["lines"]
        if (line["row"], line["net"], line["method"]) == ("custom", "tiny", "sign-embedding")
    ]
    assert line["driven"]["n"] == PICTURES * FRAMES
    assert line["driven"]["successes"] == sum(one.fooled for one in drives)
    farthest = sum(one.sights[0].fooled for one in drives)
    assert (line["along"][0]["successes"], summary["metres"]) == (farthest, [40.0, 6.0])
    # what the page draws again from rows is what was driven
    again = drive_of(DrivenRow(1, tuple(s.read for s in drives[1].sights),
                               tuple(s.confidence or 0.0 for s in drives[1].sights)),
                     pictures[1], targets[1])  # fmt: skip
    assert again.sights == tuple(replace(s, aimed=None) for s in drives[1].sights)


def test_the_best_sign_of_each_net_is_laid_out_for_print(finished: Path) -> None:
    page = (finished / "report" / "index.html").read_text()
    saved = {
        decode_png(file.read_bytes()).tobytes(): file.name
        for file in (finished / "report" / "pictures").iterdir()
    }
    for number, net in enumerate(("tiny", "other")):
        sheet = decode_png((finished / "print" / f"{net}.png").read_bytes())
        assert sheet.shape == (3, 236, 236)  # 100 mm at 60 dots an inch
        own = sheet[:, 15::30, 15::30][:, :SIDE, :SIDE]  # the middle of each pixel of the sign
        assert net in saved[np.ascontiguousarray(own).tobytes()]
        assert (finished / "print" / f"{net}.pdf").read_bytes().startswith(b"%PDF")
        assert f"../print/{net}.pdf" in page
        assert f"drive-{number}.png" in page


def test_a_page_without_photographs(finished: Path, folder: Path) -> None:
    study = SignsStudy.make(SignsStudy.load(config(folder, shown=False)))
    with ExperimentFolder.open(finished) as run:
        made = study.report(Results(run, study.plan), run.manifest)
    assert "in-distribution" in made.tables["signs.csv"].csv().decode()
    assert "(in-distribution, " not in made.page  # of a print sheet
    assert not any("in-distribution" in name for name in made.files)
    photographs = [
        painted(finished, "in-distribution", net, method)
        for net in ("tiny", "other")
        for method in ("sign-embedding", "sign-evolution")
    ]
    for net in ("tiny", "other"):
        sheet = decode_png(made.beside[f"print/{net}.png"])
        own = sheet[:, 15::30, 15::30][:, :SIDE, :SIDE]
        assert not any((pictures == own).all(axis=(1, 2, 3)).any() for pictures in photographs)


def test_without_a_drive(folder: Path) -> None:
    study = SignsStudy.make(SignsStudy.load(config(folder, frames=0)))
    assert all(one.driven is None for one in study.rows.painted)
    assert not any(isinstance(one.work, SignsDriven) for one in study.plan.order)


def test_pictures_are_what_is_tested_not_their_transforms() -> None:
    held = {
        ("in-distribution", "a"): [0, 1, 2, 0, 1, 3],
        ("logo", "a"): [9, 8, 10, 7, 9, 6],
        ("in-distribution", "b"): [9, 7, 10, 8, 10, 9],
        ("logo", "b"): [10, 9, 8, 10, 9, 7],
    }
    lines = [
        {"row": row, "net": net, "method": "m", "n": 6, "held_each": each,
         "transformed": {"rate": sum(each) / 60}}
        for (row, net), each in held.items()
    ]  # fmt: skip
    first, second, across = sentences({"nets": ["a", "b"], "held_back": 10, "lines": lines})
    assert "12 % (photographed signs), 82 % (logos) of all cases" in first
    assert "Drawn signs do better than photographed ones (Mann-Whitney test over pictures" in first
    assert "No difference between drawn and photographed signs is shown" in second
    assert across.startswith("m: pictures painted for b are read as their target under more transf")
    assert "Wilcoxon test over 12 pictures" in across


def test_parts_of_the_way() -> None:
    for frames in (1, 2, 5, 7, 40):
        every = [frame for part in parts(frames) for frame in part]
        assert every == list(range(frames))
    assert metres(1) == [40.0]
    assert metres(40) == sorted(metres(40), reverse=True)


def test_evolution_costs_at_most_as_much(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    cost = {(a["row"], a["net"], a["method"]): a["cost"] for a in summary["lines"]}
    for (row, net, method), value in cost.items():
        if method == "sign-evolution":
            assert value <= 3 * 15 * 2 * 2 + 2
            assert cost[row, net, "sign-embedding"] <= 3 * 15 * 2 * 2 + 4


def test_it_can_be_checked_and_says_how_far_it_is(finished: Path) -> None:
    assert [check for check in verify(finished) if check.ok is False] == []
    assert status(finished)["kind"] == "signs"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": None}, "needs photographed signs"),
        ({"pictures": 13}, "ask for fewer"),
        ({"attacks": ["fgsmm"]}, "no attack is called"),
        ({"attacks": ["step-ll"]}, "cannot be aimed"),
        ({"attacks": [{"name": "sign-embedding", "steps": [1, 2]}]}, "a grid of 2"),
        ({"attacks": [{"name": "sign-embedding", "targets": 1}]}, "targets are drawn here"),
        ({"held_back": 0}, "held_back"),
        ({"transforms": {"k": 0}}, "transforms.k"),
        ({"transforms": {"held_back": 3}}, "held_back stands beside"),
        ({"sides": [8, 8]}, "twice"),
        ({"angles": [90]}, "angles"),
        ({"print": {"width_mm": 5000, "dpi": 2400}}, "pixels, more than"),
        ({"print": {"width_mm": 5000, "dpi": 30}}, "pages of a4, more than"),
        ({"scale": "large"}, "scale"),
    ],
)
def test_bad_configs(folder: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        SignsStudy.make(SignsStudy.load(config(folder, **change)))
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("net", "rows", "words"),
    [
        ("grey", ["logo"], "leave the rows logo and custom out"),
        ("black", ["logo"], "name: sign-evolution"),
    ],
)
def test_nets_that_do_not_fit(folder: Path, net: str, rows: list[str], words: str) -> None:
    given = config(folder, nets=[f"{folder / 'nets.py'}:{net}"], rows=rows)
    with pytest.raises(ConfigError, match=words):
        SignsStudy.make(SignsStudy.load(given))


def test_nets_that_claim_several_classes(folder: Path) -> None:
    net = {"name": f"{folder / 'nets.py'}:tiny", "task": "multi-label"}
    with pytest.raises(ConfigError, match=r"counts first answers; attack it with evofool attack"):
        SignsStudy.make(SignsStudy.load(config(folder, nets=[net])))


def test_scale_fills_what_is_not_said(folder: Path) -> None:
    given = config(folder, attacks=["sign-embedding", "sign-evolution"])
    given.pop("transforms")
    for scale, steps, k in (("small", 100, 8), ("paper", 1000, 32)):
        study = SignsStudy.make(SignsStudy.load({**given, "scale": scale}))
        by_name = {one.method: one.painted for one in study.rows.painted}
        attack: Any = by_name["sign-embedding"].attack
        other: Any = by_name["sign-evolution"].attack
        assert (attack.steps, by_name["sign-embedding"].transforms.k) == (steps, k)
        assert other.queries == 3 * attack.steps * attack.search_steps


def test_a_dry_run_says_what_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOFOOL_DATA", str(folder))
    given = config(folder, images={"dataset": "gtsrb"})
    lines = plan_lines(plan(SignsStudy.load(given)))
    assert any(line.startswith("# not ready: data set gtsrb") for line in lines)
    assert plan_lines(plan(SignsStudy.load(config(folder))))[-1] == "# ready"


def test_views() -> None:
    pictures = np.random.default_rng(3).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)
    np.testing.assert_array_equal(from_afar(pictures, 16), pictures)
    np.testing.assert_array_equal(at_angle(pictures, 0), pictures)
    flat = np.full((1, 3, 16, 16), 77, np.uint8)
    assert (from_afar(flat, 4) == 77).all()
    assert (at_angle(flat, 50) == 77).all()
    assert from_afar(pictures, 4).std() < pictures.std()
    left = turned(16, 16, 40) @ [0, 7.5, 1]
    right = turned(16, 16, 40) @ [15, 7.5, 1]
    width = right[0] / right[2] - left[0] / left[2]
    assert width == pytest.approx(15 * np.cos(np.radians(40)), rel=0.05)
    # mirrored, it is the board turned the other way
    mirrored = at_angle(pictures[..., ::-1].copy(), -40)[..., ::-1]
    difference = np.abs(at_angle(pictures, 40).astype(int) - mirrored)
    assert difference.mean() < 2
    assert cv2.BORDER_REPLICATE == 1
