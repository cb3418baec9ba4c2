"""P6: what is kept of champions, held against the stored pictures."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sqlite3
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from evofool.attacks.runs.statistics import wilson
from evofool.classifiers import load_classifier
from evofool.experiments.engine.life import begin
from evofool.experiments.reproduce import study as studied
from evofool.experiments.reproduce.scales import SCALES
from evofool.experiments.reproduce.study import ReproduceStudy
from evofool.experiments.runs import verify
from evofool.scoring import Scorer


def test_what_is_kept_is_what_the_pictures_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = dataclasses.replace(SCALES["small"], seeds=(1, 2), digits=1)
    monkeypatch.setattr(studied, "SCALES", {"small": tiny})
    run = tmp_path / "run"
    begin(ReproduceStudy, {"kind": "reproduce", "claims": ["P6"], "scale": "small"}, run)
    assert all(check.ok for check in verify(run))
    with sqlite3.connect(run / "run.sqlite") as base:
        rows = base.execute("SELECT content, png FROM rows WHERE type = 'window'").fetchall()
    assert len(rows) == 20
    kept = []
    with Scorer(load_classifier("mnist-lenet"), batch=20, workers=1) as scorer:
        for content, png in rows:
            row = json.loads(content)
            pixels = np.asarray(PIL.Image.open(io.BytesIO(png)))
            outside = np.ones((28, 28), bool)
            outside[row["top"] : row["top"] + 14, row["left"] : row["left"] + 14] = False
            assert np.unique(pixels[outside]).size == 1
            sure = scorer.confidence(pixels[None, None])[0, row["class_index"]]
            kept.append(sure >= 0.9 * row["whole"])
    with (run / "reproduce.csv").open(encoding="utf-8", newline="") as file:
        (claim,) = csv.DictReader(file)
    low, high = wilson(sum(kept), 20)
    assert float(claim["value"]) == pytest.approx(sum(kept) / 20)
    wanted = "holds" if low > 0.5 else "fails" if high < 0.5 else "undecided"
    assert claim["verdict"] == wanted
    assert claim["published"].endswith("(unverified)")
