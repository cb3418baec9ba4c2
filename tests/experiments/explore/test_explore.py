"""``kind: explore`` end to end on a tiny linear net, its numbers held against algebra."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from evofool.errors import ConfigError
from evofool.experiments.engine.life import begin
from evofool.experiments.explore import figures
from evofool.experiments.explore.study import ExploreStudy
from evofool.experiments.explore.summary import sentences
from evofool.experiments.runs import status, verify
from evofool.images import encode_png

SIDE, CLASSES = 8, 3
NETS = f"""
import numpy as np
import torch
from torch import nn

from evofool.classifiers import Classifier, from_module, from_predict

LABELS = ["ape", "bat", "$x_{{cat"]


def weights():
    pixels = np.arange({SIDE * SIDE})
    return np.stack([(pixels * (3 * c + 5) + c * c) % 23 - 11 for c in range({CLASSES})]) / 32


def tiny() -> Classifier:
    last = nn.Linear({SIDE * SIDE}, {CLASSES})
    with torch.no_grad():
        last.weight[:] = torch.from_numpy(weights()).float()
        last.bias[:] = 0
    net = nn.Sequential(nn.Flatten(), last)
    return from_module(net, input_shape=(1, {SIDE}, {SIDE}), name="tiny", labels=LABELS)


def black() -> Classifier:
    def predict(images):
        return images.reshape(len(images), -1) / 255.0 @ weights().T

    return from_predict(
        predict, input_shape=(1, {SIDE}, {SIDE}), output="logits", name="black", labels=LABELS
    )
"""


def weights() -> NDArray[np.float64]:
    pixels = np.arange(SIDE * SIDE)
    return np.stack([(pixels * (3 * c + 5) + c * c) % 23 - 11 for c in range(CLASSES)]) / 32


def softmax(pictures: NDArray[Any]) -> NDArray[np.float64]:
    logits = pictures.reshape(len(pictures), -1) / 255.0 @ weights().T
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explore")
    (path / "nets.py").write_text(NETS)
    (path / "natural").mkdir()
    rng = np.random.default_rng(1)
    lines = ["file,label"]
    for c in range(CLASSES):
        for k in range(4):
            bright = (weights()[c] > 0).reshape(1, SIDE, SIDE) * 90
            pixels = (rng.integers(0, 100, (1, SIDE, SIDE)) + bright).astype(np.uint8)
            (path / "natural" / f"{c}-{k}.png").write_bytes(encode_png(pixels))
            lines.append(f"{c}-{k}.png,{c}")
    (path / "labels.csv").write_text("\n".join(lines) + "\n")
    return path


def config(folder: Path, **sections: Any) -> dict[str, Any]:
    return {
        "kind": "explore",
        "classifier": f"{folder / 'nets.py'}:tiny",
        "evolution": {
            "encodings": ["direct"], "initial": 2, "children": 20, "generations": 9,
            "seeds": [1, 2],
        },
        "images": {"folder": str(folder / "natural"), "labels": str(folder / "labels.csv")},
        "repetition": {"windows": [0.5, 1.0], "stride": 2},
        "decision_map": {"classes": [1], "side": 9, "attack": {"name": "pgd", "eps": 0.3}},
        "embedding": {"natural": 10},
        "source_target": {"attack": {"name": "jsma", "gamma": 0.5}, "classes": 3},
        "goal_switching": {"bins": 3},
        **sections,
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    begin(ExploreStudy, config(folder), folder / "run", command="evofool run toy.yaml")
    return folder / "run"


def table(run: Path, name: str) -> list[dict[str, str]]:
    with (run / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def stored(run: Path, type: str) -> list[tuple[dict[str, Any], NDArray[np.uint8]]]:
    """Rows of a type with the pixels of their pictures, read by nothing of ours."""
    with sqlite3.connect(run / "run.sqlite") as base:
        found = base.execute(
            "SELECT content, png FROM rows WHERE type = ? ORDER BY address, item", (type,)
        ).fetchall()
    return [
        (json.loads(content), np.asarray(PIL.Image.open(io.BytesIO(png)))) for content, png in found
    ]


def test_it_is_finished_and_verified_and_shows_only_what_is_there(finished: Path) -> None:
    assert status(finished)["status"] == "finished"
    checks = list(verify(finished))
    assert all(check.ok for check in checks), checks
    # windows, map, embedding, and a count a campaign
    assert sum(check.name.endswith(", again") for check in checks) == 2 + 1 + 1 + 2
    page = (finished / "report" / "index.html").read_text(encoding="utf-8")
    names = re.findall(r'(?:src|srcset|href)="([^"#]+)"', page)
    assert len(names) > 15
    for name in names:
        assert (finished / "report" / name).is_file(), name


def test_the_map_is_the_softmax_of_the_plane(finished: Path) -> None:
    corners = {row["picture"]: row for row in table(finished, "decision-corners.csv")}
    assert int(corners["natural"]["predicted"]) == 1
    assert float(corners["adversarial"]["distance"]) <= 0.3 * SIDE + 1e-6
    pixels = {row["name"]: picture for row, picture in stored(finished, "corner")}
    n, a, e = (pixels[k].astype(float) for k in ("natural", "adversarial", "evolved"))
    points = table(finished, "decision-map.csv")
    assert len(points) == 9 * 9
    x, y = (np.array([float(p[k]) for p in points])[:, None, None] for k in "xy")
    sure = softmax(np.rint(np.clip(n + x * (a - n) + y * (e - n), 0, 255)))
    assert np.allclose([float(p["own"]) for p in points], sure[:, 1], atol=0.02)
    clear = np.sort(sure, axis=1)[:, -1] - np.sort(sure, axis=1)[:, -2] > 0.05
    called = np.array([int(p["predicted"]) for p in points])
    assert np.array_equal(called[clear], sure.argmax(axis=1)[clear])
    share = json.loads((finished / "summary.json").read_text())["decision_map"][0]["own_share"]
    assert share == pytest.approx((called == 1).mean())


def test_windows_have_the_confidence_of_their_pictures(finished: Path) -> None:
    rows = table(finished, "repetition.csv")
    assert len(rows) == 2 * CLASSES * 2
    cut = stored(finished, "window")
    sure = softmax(np.stack([picture for _, picture in cut]))
    for k, (row, _) in enumerate(cut):
        assert row["confidence"] == pytest.approx(sure[k, row["class_index"]], abs=1e-5)
        if row["side"] == SIDE:  # all of it is kept
            assert (row["area"], row["confidence"]) == (1.0, pytest.approx(row["whole"]))
    keys = ("class_index", "side", "top", "left", "confidence")
    assert sorted(tuple(float(r[key]) for key in keys) for r in rows) == sorted(
        tuple(float(row[key]) for key in keys) for row, _ in cut
    )
    told = json.loads((finished / "summary.json").read_text())["repetition"]
    half = [row for row in rows if row["side"] == "4"]
    kept = sum(float(r["confidence"]) >= 0.9 * float(r["whole"]) for r in half)
    assert (told[0]["keeps"]["successes"], told[0]["n"], told[0]["area"]) == (kept, 6, 0.25)


def test_switches_are_those_of_the_lineage(finished: Path) -> None:
    counts = np.zeros((CLASSES, 2), int)
    for campaign in sorted((finished / "evolution").iterdir()):
        with sqlite3.connect(campaign / "run.sqlite") as base:
            wins = base.execute(
                "SELECT w.class_index, i.parent_cells FROM wins w JOIN individuals i"
                " USING (generation, idx) WHERE generation > 0"
            ).fetchall()
        for c, cells in wins:
            counts[c] += (1, str(c) not in cells.split())
    rows = table(finished, "goal-switching.csv")
    assert [[int(r["champions"]), int(r["switched"])] for r in rows] == counts.tolist()
    assert 0 < counts[:, 1].sum() < counts[:, 0].sum()
    by_generation = table(finished, "goal-switching-generations.csv")
    assert len(by_generation) == 2 * 9
    assert sum(int(r["switched"]) for r in by_generation) == counts[:, 1].sum()
    told = json.loads((finished / "summary.json").read_text())["goal_switching"]
    assert told[0]["rate"] == pytest.approx(counts[:, 1].sum() / counts[:, 0].sum())


def test_the_map_of_features_is_that_of_the_pixels_of_a_linear_net(
    finished: Path, folder: Path
) -> None:
    rows = table(finished, "embedding.csv")
    natural = [np.asarray(PIL.Image.open(folder / "natural" / f"{c}-{k}.png"))
               for c in range(CLASSES) for k in range(4)][:10]  # fmt: skip
    evolved = [np.asarray(PIL.Image.open(finished / "evolution" / "direct-1" / "images" / name))
               for name in ("0000.png", "0001.png", "0002.png")]  # fmt: skip
    features = np.stack([*natural, *evolved]).reshape(13, -1) / 255.0
    assert [row["group"] for row in rows] == ["natural"] * 10 + ["direct"] * 3
    distances = np.linalg.norm(features[:, None] - features[None, :10], axis=2)
    distances[np.arange(10), np.arange(10)] = np.inf
    labels = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert [int(row["nearest"]) for row in rows] == [labels[k] for k in distances.argmin(axis=1)]
    places = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    gram = (features - features.mean(axis=0)) @ (features - features.mean(axis=0)).T
    strengths = np.sort(np.linalg.eigvalsh(gram))[::-1]
    assert np.allclose((places**2).sum(axis=0), strengths[:2], rtol=1e-4)


def test_every_pair_is_told_with_its_own_picture(finished: Path) -> None:
    rows = table(finished, "source-target.csv")
    pictures = [picture for _, picture in stored(finished, "targeted")]
    called = softmax(np.stack(pictures)).argmax(axis=1)
    assert len(rows) == CLASSES * (CLASSES - 1)
    for row, label in zip(rows, called, strict=True):
        assert int(row["success"]) == (label == int(row["target"]))
    told = json.loads((finished / "summary.json").read_text())["source_target"]
    assert told["changed"] == pytest.approx(np.mean([float(r["changed"]) for r in rows]))


def test_sentences_say_what_the_summary_holds(finished: Path) -> None:
    told = json.loads((finished / "summary.json").read_text())
    lines = sentences(told)
    assert len(lines) == 1 + 1 + 1 + 1
    assert f"{told['goal_switching'][0]['champions']} new champions" in lines[-1]


def drawn(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **sections: Any) -> set[bytes]:
    """The pixels of all pictures that figures show."""
    seen: set[bytes] = set()
    shown = figures._shown

    def noted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        seen.add(picture.tobytes())
        return shown(picture)

    monkeypatch.setattr(figures, "_shown", noted)
    begin(ExploreStudy, config(folder, **sections), out)
    return seen


@pytest.mark.parametrize("pictures", [True, False])
def test_natural_pictures_are_shown_only_where_they_may_be(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: bool
) -> None:
    small = {"encodings": ["direct"], "initial": 9, "children": 9, "generations": 1, "seeds": [1]}
    seen = drawn(folder, tmp_path / "run", monkeypatch, pictures=pictures, evolution=small)
    files = sorted((folder / "natural").iterdir())
    natural = {np.asarray(PIL.Image.open(file)).tobytes() for file in files}
    made = {
        picture.tobytes()
        for type, row, picture in (
            (type, *found) for type in ("corner", "targeted")
            for found in stored(tmp_path / "run", type)
        )
        if row.get("name") != "evolved"
    }  # fmt: skip
    assert bool(seen & natural) == pictures
    assert bool(seen & made) == pictures
    assert len(seen - natural - made) >= CLASSES


def test_parts_that_are_not_asked_for_are_left_out(folder: Path, tmp_path: Path) -> None:
    small = {"encodings": ["direct"], "initial": 9, "children": 9, "generations": 1, "seeds": [1]}
    none = dict.fromkeys(("images", "repetition", "decision_map", "embedding", "source_target"))
    begin(ExploreStudy, config(folder, **none, evolution=small), tmp_path / "run")
    assert status(tmp_path / "run")["works"] == 2
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {name for name in files if name.endswith(".csv")} == {
        "goal-switching.csv", "goal-switching-generations.csv",
    }  # fmt: skip
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert page.count("<h2>") == 2  # the part, and the facts of the run


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (dict.fromkeys(("repetition", "decision_map", "embedding", "source_target",
                        "goal_switching")), "asks for no part: add at least one of repetition"),
        ({"images": None}, "decision_map needs natural pictures: add images"),
        ({"images": {"noise": "uniform"}}, "must be pictures with their own labels"),
        ({"repetition": {"windows": [0.5, 0.5]}}, "names one twice"),
        ({"repetition": {"windows": [1.5]}}, "repetition.windows"),
        ({"decision_map": {"classes": [3]}}, "decision_map.classes: class 3: evolution searches"),
        ({"classes": 1}, "decision_map.classes: class 1: evolution searches for 0 to 0"),
        ({"decision_map": {"classes": [1], "attack": "jsma"}}, "jsma is not untargeted"),
        ({"source_target": {"attack": "fgm"}}, "source_target.attack: "),
        ({"source_target": {"attack": {"name": "jsma", "gamma": [0.1, 0.2]}}}, "a grid of 2"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_is_refused_at_its_place(
    folder: Path, tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        begin(ExploreStudy, config(folder, **sections), tmp_path / "run")


def test_a_black_box_can_be_looked_at_as_far_as_its_answers_go(
    folder: Path, tmp_path: Path
) -> None:
    black = f"{folder / 'nets.py'}:black"
    for section in ("decision_map", "embedding", "source_target"):
        others = dict.fromkeys({"decision_map", "embedding", "source_target"} - {section})
        with pytest.raises(ConfigError, match=f"{section}: .*black"):
            begin(ExploreStudy, config(folder, classifier=black, **others), tmp_path / section)
    small = {"encodings": ["direct"], "initial": 9, "children": 9, "generations": 1, "seeds": [1]}
    square = {"classes": [0], "side": 5, "attack": {"name": "square", "eps": 0.3, "queries": 20}}
    sections = {"embedding": None, "source_target": None, "decision_map": square}
    begin(
        ExploreStudy, config(folder, classifier=black, evolution=small, **sections),
        tmp_path / "run",
    )  # fmt: skip
    assert len(table(tmp_path / "run", "decision-map.csv")) == 25
    assert all(check.ok for check in verify(tmp_path / "run"))
