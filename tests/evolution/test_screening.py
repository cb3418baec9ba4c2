"""Lower precision screens; what stands in the archive was scored in float32."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import Classifier
from evofool.config import load_campaign
from evofool.errors import ConfigError, Interrupted, UsageError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.verify import verify
from evofool.images import decode_png
from evofool.scoring import Scorer, Scores
from evofool.store import CampaignFolder

VICTIM = """
import torch
from torch import nn
from evofool.classifiers import from_module


def victim():
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(128, 7))
    return from_module(net, input_shape=(1, 6, 6), name="soft")
"""
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def sections(toy_campaign: Make, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    (tmp_path / "victim.py").write_text(VICTIM)

    def make(precision: str = "bf16", **others: Any) -> dict[str, Any]:
        return toy_campaign(
            classifier={"name": f"{tmp_path / 'victim.py'}:victim"},
            scoring={"batch": 8, "workers": 2, "engine": "torch", "precision": precision},
            **others,
        )

    return make


def _screened(monkeypatch: pytest.MonkeyPatch) -> tuple[set[float], list[int]]:
    """Every log-odds that a screen gives from now on, and how many were confirmed at a time."""
    low: set[float] = set()
    confirmed: list[int] = []
    map_, confirm = Scorer.map, Scorer.confirm

    def watched(self: Scorer, producers: Any) -> Any:
        stream = map_(self, producers)
        follow = type(stream).__next__

        class Watched(type(stream)):  # type: ignore[misc]
            def __next__(self) -> Scores:
                scores = follow(self)
                low.update(scores.log_odds.ravel().tolist())
                return scores

        stream.__class__ = Watched
        return stream

    def counted(self: Scorer, producers: Any) -> Iterator[Scores]:
        parts = list(confirm(self, producers))
        confirmed.append(sum(len(part) for part in parts))
        return iter(parts)

    monkeypatch.setattr(Scorer, "map", watched)
    monkeypatch.setattr(Scorer, "confirm", counted)
    return low, confirmed


@pytest.mark.parametrize("lag", [0, 1])
def test_no_value_of_the_archive_is_a_screened_one(
    sections: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag: int
) -> None:
    evolution = {"initial": 20, "children": 20, "lag": lag}
    low, confirmed = _screened(monkeypatch)
    summary = evolve(sections(evolution=evolution), tmp_path / "run").summary
    with CampaignFolder.open(tmp_path / "run") as run:
        wins = [win.log_odds for win in run.wins()]
        elites = run.archive().elites
    assert len(low) > 1000
    assert wins
    assert not low & {*wins, *(elite.log_odds for elite in elites)}
    assert 0 < sum(confirmed) < summary["evaluations"] == 260
    # every would-be winner went through again, padded, and none of them is an evaluation
    padded = sum(-(-count // 8) * 8 for count in confirmed)
    assert summary["forward_images"] == 13 * 24 + padded
    for name in ("summary", "confidences", "archive digest", "ancestry"):
        checks = {check.name: check for check in verify(tmp_path / "run")}
        assert checks[name].ok, checks[name]
    monkeypatch.undo()
    with Scorer(_victim(tmp_path), engine="torch", batch=8, workers=1, pad=True) as scorer:
        for elite in elites:
            data = (tmp_path / "run" / f"images/{elite.class_index:04d}.png").read_bytes()
            now = scorer.score(decode_png(data)[None]).log_odds[0, elite.class_index]
            assert now == pytest.approx(elite.log_odds, abs=1e-5)


def _victim(folder: Path) -> Classifier:
    from evofool.classifiers import load_classifier

    return load_classifier(f"{folder / 'victim.py'}:victim")


@pytest.mark.parametrize("stop_at", [7, 22, 38])
def test_a_resumed_run_equals_an_uninterrupted_one(
    sections: Make, tmp_path: Path, stop_at: int
) -> None:
    whole = evolve(sections(), tmp_path / "whole").summary
    calls = itertools.count(1)
    with pytest.raises(Interrupted):
        evolve(sections(), tmp_path / "cut", should_stop=lambda: next(calls) == stop_at)
    result = resume(tmp_path / "cut").summary
    for key in ("archive_digest", "evaluations", "forward_images", "confidence"):
        assert result[key] == whole[key], key


def test_workers_change_nothing_and_precision_does(sections: Make, tmp_path: Path) -> None:
    found = []
    for i, workers in enumerate((1, 3)):
        made = sections()
        made["scoring"]["workers"] = workers
        found.append(evolve(made, tmp_path / str(i)).summary)
    assert found[0]["archive_digest"] == found[1]["archive_digest"]
    exact = evolve(sections("float32"), tmp_path / "exact").summary
    assert exact["forward_images"] == 13 * 24
    with pytest.raises(UsageError, match="only stop"):
        resume(tmp_path / "exact", overrides=["scoring.precision=bf16"])
    assert "precision: bf16" in (tmp_path / "0" / "config.yaml").read_text()


def test_memory_runs_out_while_confirming(
    sections: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the generation again at half the size: the run goes on as one of that size would."""
    from evofool.scoring import OutOfMemory

    confirm, calls = Scorer.confirm, itertools.count()

    def once(self: Scorer, producers: Any) -> Any:
        if next(calls) == 0:
            raise OutOfMemory("soft: out of memory")
        return confirm(self, producers)

    monkeypatch.setattr(Scorer, "confirm", once)
    summary = evolve(sections(), tmp_path / "run").summary
    monkeypatch.undo()
    small = sections()
    small["scoring"]["batch"] = 4
    assert summary["archive_digest"] == evolve(small, tmp_path / "s").summary["archive_digest"]
    assert summary["evaluations"] == 260


def test_who_cannot_screen_is_told_where(
    toy_campaign: Make, sections: Make, tmp_path: Path
) -> None:
    scoring = {"batch": 8, "precision": "bf16"}
    with pytest.raises(ConfigError, match=r"precision: \S+ has no module that could run in bf16"):
        evolve(toy_campaign(scoring=scoring), tmp_path / "a")
    with pytest.raises(ConfigError, match=r"precision: tf32 works only on CUDA"):
        evolve(sections("tf32"), tmp_path / "b")
    one = {"algorithm": "mu_plus_lambda", "target": 1, "initial": 20, "children": 20}
    with pytest.raises(ConfigError, match=r"scoring: precision bf16 can only screen"):
        load_campaign(sections(evolution=one))
