"""Every attack of the registry on a net behind transforms: it runs, and every pass is counted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.attacks import AttackResult
from evofool.attacks.registry import describe, names
from evofool.classifiers import Classifier, load_classifier
from evofool.images import UInt8Images
from evofool.scoring import Scorer

K = 3
TOY = {
    "name": f"{Path(__file__).parents[1] / 'toys' / 'linear.py'}:victim",
    "transforms": {"k": K, "rotation": 9, "brightness": 0.05, "noise": 0.01, "held_back": 6},
}
FEW: dict[str, Any] = {
    "eps": 0.1, "steps": 4, "restarts": 1, "queries": 40, "search_steps": 1,
    "binary_search_steps": 1, "population": 8, "generations": 2, "iterations": 4, "samples": 4,
    "rounds": 1, "epochs": 1, "initial": 6, "max_steps": 4, "gamma": 0.1,
}  # fmt: skip


@cache
def victim() -> Classifier:
    return load_classifier(TOY)


def pictures(n: int = 4) -> UInt8Images:
    shape = victim().input_shape
    return np.random.default_rng(5).integers(0, 256, (n, *shape), dtype=np.uint8)


def run(name: str, batch: int, rows: slice = slice(None)) -> tuple[AttackResult, Scorer]:
    found = describe(name)
    known = {parameter.name for parameter in found.parameters}
    attack = found.factory(**{key: value for key, value in FEW.items() if key in known})
    images = pictures()
    with Scorer(victim(), workers=1, batch=batch) as scorer:
        labels = scorer.labels(images)
        targets = (labels + 1) % victim().n_classes if attack.aim == "targeted" else None
        scorer.queries = scorer.forward_images = 0
        result = attack(
            scorer,
            images[rows],
            labels[rows],
            targets=None if targets is None else targets[rows],
            ids=np.arange(len(images))[rows],
        )
        return result, scorer


def _each() -> Iterator[Any]:
    """Ours by default; an installed peer's are many."""
    for name in names():
        peers = name.startswith("foolbox:") and name != "foolbox:LinfPGD"
        yield pytest.param(name, marks=[pytest.mark.slow] if peers else [])


@pytest.mark.parametrize("name", list(_each()))
def test_it_runs_and_every_transform_is_counted(name: str) -> None:
    result, scorer = run(name, 24)
    assert scorer.forward_images == result.forward_images + result.verify_forward_images
    assert scorer.backward_images == result.backward_images
    for counts in (result.forward_each, result.backward_each, result.verify_each):
        assert (counts % K == 0).all()
    assert scorer.forward_images == K * scorer.queries
    with Scorer(victim(), batch=9, workers=2) as fresh:
        scores = fresh.score(result.pixels)
        held_back = fresh.held_back(result.pixels, 6)
        assert fresh.queries == len(result)
        assert fresh.forward_images == len(result) * (K + 6)
    assert np.array_equal(scores.labels, result.predicted)
    assert held_back.labels.shape == (len(result), 6)


@pytest.mark.parametrize("name", ["pgd", "square"])
def test_no_batch_changes_what_it_finds(name: str) -> None:
    whole, _ = run(name, 24)
    for batch, rows in ((1, slice(0, 4)), (24, slice(1, 3))):
        part, _ = run(name, batch, rows)
        assert np.array_equal(part.pixels, whole.pixels[rows])
