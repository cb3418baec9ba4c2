"""Runs as programs begin them: with a victim that is an object, stopped by a function."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import evofool
from evofool.classifiers import Classifier, load_classifier
from evofool.classifiers.sources.live import PREFIX, object_name
from evofool.errors import ConfigError, FolderError, UsageError
from evofool.evolution.status import status
from evofool.experiments.runs import verify

GOLDEN = "f80367af775317ebac8c7b5e66d648b6ea6af46d44a52284c54b1a37ae60b956"
LINEAR = Path(__file__).parents[1] / "toys" / "linear.py"

Campaign = Callable[..., dict[str, Any]]


class After:
    """Is true from its n-th call on."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("given", ["keyword", "mapping"])
def test_evolve_takes_an_object(
    tmp_path: Path, toy_campaign: Campaign, toy_victim: Classifier, given: str
) -> None:
    victim = dataclasses.replace(toy_victim, name="my own: toy.py:f", source=None)
    config = toy_campaign()
    if given == "mapping":
        run = evofool.evolve({**config, "classifier": victim}, tmp_path / "run")
    else:
        del config["classifier"]
        run = evofool.evolve(config, tmp_path / "run", classifier=victim)
    assert run.summary["archive_digest"] == GOLDEN
    assert run.summary["classifier"]["name"] == "my own: toy.py:f"
    assert f"name: {PREFIX}my-own-toy-py-f" in (run.path / "config.yaml").read_text()
    assert all(check.ok for check in verify(run.path, classifier=victim))
    with pytest.raises(UsageError, match="is given twice"):
        evofool.evolve({**config, "classifier": victim}, tmp_path / "x", classifier=victim)


def test_evolve_takes_a_name_and_says_what_else(tmp_path: Path, toy_campaign: Campaign) -> None:
    config = toy_campaign()
    other = {**config, "classifier": "mnist-lenet"}
    run = evofool.evolve(other, tmp_path / "run", classifier=config["classifier"]["name"])
    assert run.summary["archive_digest"] == GOLDEN
    with pytest.raises(
        UsageError, match=r"takes a name, or what evofool\.from_module or .* returns, not Linear"
    ):
        evofool.evolve(config, tmp_path / "x", classifier=torch.nn.Linear(2, 2))  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("lag", [0, 1])
def test_a_stopped_campaign_is_a_run_with_pictures(
    tmp_path: Path, toy_campaign: Campaign, toy_victim: Classifier, lag: int
) -> None:
    config = toy_campaign(evolution={"initial": 20, "children": 20, "lag": lag})
    whole = evofool.evolve(config, tmp_path / "whole").summary["archive_digest"]
    victim = dataclasses.replace(toy_victim, name="toy", source=None)
    run = evofool.evolve(config, tmp_path / "run", classifier=victim, should_stop=After(14))
    assert run.summary["status"] == status(run.path)["status"] == "interrupted"
    assert 0 < run.summary["generations"] < 12
    assert len(list((run.path / "images").glob("*.png"))) == 7
    assert run.summary["archive_digest"] not in (None, whole)
    assert not [c for c in verify(run.path, classifier=victim) if c.ok is False]
    with pytest.raises(ConfigError, match=r"not available here.*evofool\.resume\(RUN, classifier="):
        evofool.resume(run.path)
    other = dataclasses.replace(victim, digest="0" * 64)
    with pytest.raises(FolderError, match="was made with"):
        evofool.resume(run.path, classifier=other)
    assert evofool.resume(run.path, classifier=victim).summary["archive_digest"] == whole


def test_a_campaign_that_is_stopped_at_once_has_nothing_to_show(
    tmp_path: Path, toy_campaign: Campaign
) -> None:
    run = evofool.evolve(toy_campaign(), tmp_path / "run", should_stop=lambda: True)
    assert run.summary["status"] == "interrupted"
    assert run.summary["archive_digest"] is None
    assert not (run.path / "images").exists() or not list((run.path / "images").iterdir())
    assert evofool.resume(run.path).summary["archive_digest"] == GOLDEN


def test_attack_takes_an_object(tmp_path: Path) -> None:
    config = {
        "images": {"noise": "uniform", "count": 4},
        "attacks": [{"name": "fgsm", "eps": 0.1}],
    }
    victim = dataclasses.replace(load_classifier(f"{LINEAR}:victim"), name="mine", source=None)
    run = evofool.attack(config, tmp_path / "run", classifier=victim)
    named = evofool.attack({**config, "classifier": f"{LINEAR}:victim"}, tmp_path / "named")
    for key in ("success_png", "norms", "forward_images"):
        assert run.summary["attacks"][0][key] == named.summary["attacks"][0][key]
    assert not [c for c in verify(run.path, classifier=victim) if c.ok is False]


@pytest.mark.parametrize("calls", [0, 5, 9])
def test_a_stopped_attack_is_a_run_with_pictures(tmp_path: Path, calls: int) -> None:
    config = {
        "classifier": f"{LINEAR}:victim",
        "images": {"noise": "uniform", "count": 8},
        "attacks": [{"name": "fgsm", "eps": 0.1}, {"name": "fgsm", "eps": 0.2}],
        "scoring": {"batch": 2},
        "chunk": 2,
    }
    whole = evofool.attack(config, tmp_path / "whole").summary
    run = evofool.attack(config, tmp_path / "run", should_stop=After(calls))
    done = sum(line["n"] for line in run.summary["attacks"])
    assert run.summary["status"] == "interrupted"
    assert done < 16
    assert (done > 0) == (calls > 4)  # four requests are for the clean images
    assert len(list((run.path / "images").glob("*.png"))) == done
    assert not [c for c in verify(run.path) if c.ok is False]
    resumed = evofool.resume(run.path).summary
    assert resumed["status"] == "finished"
    for key in ("queries", "forward_images", "backward_images", "attacked"):
        assert resumed[key] == whole[key]


def test_defend_takes_an_object(tmp_path: Path) -> None:
    config = {
        "defense": {"name": "median", "size": 3},
        "data": {"dataset": "mnist-sample", "limit": 6, "start": 10},
        "threats": {
            "eps": 0.2, "steps": 2, "restarts": 1, "black_images": 2, "square_queries": 5,
            "substitute_initial": 8, "substitute_rounds": 1, "random_points": 2,
        },
        "evolution": {
            "encodings": ["cppn"], "initial": 4, "children": 4, "generations": 1, "seeds": [4],
        },
    }  # fmt: skip
    victim = dataclasses.replace(load_classifier("mnist-lenet"), name="mine")
    run = evofool.defend(config, tmp_path / "run", classifier=victim)
    named = evofool.defend({**config, "base": "mnist-lenet"}, tmp_path / "named")
    assert [row["errors"] for row in run.summary["threats"]] == [
        row["errors"] for row in named.summary["threats"]
    ]
    assert run.summary["base"]["name"] == "mine"
    assert json.dumps(object_name(victim))[1:-1] in (run.path / "victim.yaml").read_text()
    assert not [c for c in verify(run.path, classifier=victim) if c.ok is False]
