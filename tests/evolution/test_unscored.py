"""A victim that gives NaN for one picture in many, or -inf for a class: the campaign goes on."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.errors import ScoringError
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.individual import Individual
from evofool.evolution.verify import verify
from evofool.scoring import Scores
from evofool.store import IndividualId

Make = Callable[..., dict[str, Any]]
TOYS = Path(__file__).parents[1] / "toys"

VICTIM = """
import os
import sys
import numpy as np
sys.path.append({toys!r})
from exact import _weights, SIDE
from evofool.classifiers import from_predict

def predict(images):
    flat = images.reshape(len(images), -1).astype(np.int64)
    logits = flat @ _weights().T / 4096.0
    {change}
    return logits

def victim():
    return from_predict(predict, input_shape=(1, SIDE, SIDE), output="logits", link={link!r})
"""
ALGORITHMS: dict[str, dict[str, Any]] = {
    "map_elites": {"initial": 20, "children": 20},
    "lagging": {"initial": 20, "children": 20, "lag": 1},
    "mu_plus_lambda": {
        "algorithm": "mu_plus_lambda", "target": 3, "initial": 20, "children": 20, "mu": 8,
    },
    "cma_es": {"algorithm": "cma_es", "target": 3, "initial": 10, "children": 12},
}  # fmt: skip


@pytest.fixture
def make(toy_campaign: Make, tmp_path: Path) -> Make:
    def campaign(change: str, link: str = "sigmoid", **sections: Any) -> dict[str, Any]:
        file = tmp_path / "victim.py"
        file.write_text(VICTIM.format(toys=str(TOYS), change=change, link=link))
        return toy_campaign(classifier={"name": f"{file}:victim"}, **sections)

    return campaign


NAN_FOR_SOME = "logits[flat.sum(axis=1) % 7 == 3] = np.nan"  # of noise about one in seven


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_picture_without_scores_wins_nothing_and_is_counted(
    make: Make, tmp_path: Path, algorithm: str, caplog: pytest.LogCaptureFixture
) -> None:
    sections = make(NAN_FOR_SOME, evolution=ALGORITHMS[algorithm])
    if algorithm == "cma_es":
        sections["encoding"] = {"name": "direct"}
    with caplog.at_level(logging.WARNING, "evofool"):
        summary = evolve(sections, tmp_path / "run").summary
    warnings = [r.getMessage() for r in caplog.records if "non-finite" in r.getMessage()]
    assert len(warnings) == 1
    assert "win nothing" in warnings[0]
    rows = list(csv.DictReader((tmp_path / "run" / "curve.csv").open()))
    counts = [int(row["unscored"] or 0) for row in rows]
    assert summary["unscored"] == sum(counts) > 0
    assert summary["evaluations"] > summary["unscored"]
    assert 0 <= summary["confidence"]["min"] <= summary["confidence"]["max"] <= 1
    checks = list(verify(tmp_path / "run"))
    assert all(check.ok is not False for check in checks), checks

    # an interrupted run goes on to the same end, over the same pictures
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 20

    with pytest.raises(Exception, match="resume"):
        evolve(sections, tmp_path / "again", should_stop=should_stop)
    again = resume(tmp_path / "again").summary
    for key in ("archive_digest", "unscored", "evaluations", "cells_won"):
        assert again[key] == summary[key]


def test_a_victim_that_gives_nothing_but_nan_ends_the_campaign(make: Make, tmp_path: Path) -> None:
    sections = make("if len(flat) > 4: logits[:] = np.nan")  # the probe sends fewer at a time
    sections["evolution"] = {"initial": 16, "children": 16}
    with pytest.raises(ScoringError, match="non-finite scores for all 16 pictures"):
        evolve(sections, tmp_path / "run")


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_masked_class_has_the_probability_0(make: Make, tmp_path: Path, link: str) -> None:
    """Its cell is filled by the first child and never won; all others are as without it."""
    summary = evolve(make("logits[:, 2] = -np.inf", link), tmp_path / "run").summary
    rows = {
        int(row["class_index"]): float(row["confidence"])
        for row in csv.DictReader((tmp_path / "run" / "elites.csv").open())
    }
    assert rows[2] == 0.0
    assert all(confidence > 0 for c, confidence in rows.items() if c != 2)
    assert summary["unscored"] == 0
    checks = list(verify(tmp_path / "run"))
    assert all(check.ok is not False for check in checks), checks


def _scores(odds: list[list[float]]) -> Scores:
    return Scores(np.array(odds))


def _children(count: int) -> list[Individual]:
    return [Individual(b"", IndividualId(1, i)) for i in range(count)]


def test_the_archive_takes_no_nan_and_any_number() -> None:
    nan, low = np.nan, -np.inf
    archive = ChampionArchive([0, 1], "log_odds")
    wins, fitness = archive.add(_children(2), _scores([[nan, nan], [nan, nan]]))
    assert (wins, archive.filled.any()) == ([], False)
    assert (fitness == low).all()
    # p = 0 fills an empty cell, ahead of a child without scores that comes first
    children = _children(3)
    wins, fitness = archive.add(children, _scores([[nan, nan], [low, 1.0], [low, 0.5]]))
    assert [(win.class_index, win.individual.id.child) for win in wins] == [(0, 1), (1, 1)]
    assert fitness.tolist() == [[low, low], [low, 1.0], [low, 0.5]]
    # and gives way to anything above it, but not to itself
    assert archive.add(_children(1), _scores([[low, 1.0]]))[0] == []
    wins, _ = archive.add(_children(2), _scores([[nan, nan], [-700.0, 0.0]]))
    assert [win.class_index for win in wins] == [0]
    assert wins[0].gain == np.inf


def test_who_has_no_scores_in_a_low_precision_is_asked_in_float32() -> None:
    archive = ChampionArchive([0, 1], "log_odds")
    archive.add(_children(1), _scores([[1.0, 1.0]]))
    assert archive.contenders(_scores([[0.0, 0.0], [np.nan, np.nan], [2.0, 0.0]])) == [1, 2]
    assert archive.contenders(_scores([[np.nan, np.nan]])) == [0]
