"""What a child costs outside scoring and rendering as classes grow, beside a forward of Lite0."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import pytest
from measuring import HERE, measure, scaled
from pytest_benchmark.fixture import BenchmarkFixture

from evofool import Scorer, encodings, evolve, load_classifier
from evofool.config import MapElitesConfig
from evofool.evolution.algorithms import make_algorithm
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.campaign import Progress
from evofool.evolution.evaluation import Evaluator
from evofool.evolution.individual import Individual
from evofool.experiments.bench import grown, random_images
from evofool.scoring import Scores
from evofool.store import IndividualId

CLASSES = (10, 100, 1000, 10_000)
CHANGING = 0.02
"""Share of the cells that change hands in a generation, once a campaign is under way."""
GROUP = "A child outside scoring and rendering"


def test_forward(benchmark: BenchmarkFixture) -> None:
    victim = load_classifier("imagenet-efficientnet-lite0")
    images = random_images(victim, 25)
    with Scorer(victim, engine="onnxruntime", batch=25, workers=1) as scorer:
        measure(
            benchmark,
            lambda: scorer.score(images),
            group=GROUP,
            label="EfficientNet-Lite0 forward",
            role="reference",
            units=len(images),
            unit="child",
            rounds=9,
        )


def individuals(genomes: list[Any], count: int, generation: int) -> list[Individual]:
    """So many, with the genomes in turn."""
    return [
        Individual(genomes[i % len(genomes)], IndividualId(generation, i), (), (i % 10,))
        for i in range(count)
    ]


def full_archive(classes: int, holders: list[Individual], fitness: float) -> ChampionArchive:
    """Every cell filled, at one fitness."""
    archive = ChampionArchive(range(classes), "log_odds")
    for c in range(classes):
        archive.put(c, holders[c % len(holders)], fitness, fitness, False)
    return archive


@pytest.mark.parametrize("state", ["under way", "every cell changes"])
@pytest.mark.parametrize("children", [200, 400])
@pytest.mark.parametrize("classes", CLASSES)
def test_archive(benchmark: BenchmarkFixture, classes: int, children: int, state: str) -> None:
    rng = np.random.default_rng(2)
    scores = Scores(rng.normal(-8, 1, (children, classes)))
    # the best of so many normal numbers surpasses this in the share of cells that is wanted
    best = rng.normal(-8, 1, (500, children)).max(axis=1)
    level = float(np.quantile(best, 1 - CHANGING)) if state == "under way" else -1e9
    elders = individuals([None], classes, 0)
    offspring = individuals([None], children, 1)

    def setup() -> tuple[tuple[ChampionArchive], dict[str, Any]]:
        return (full_archive(classes, elders, level),), {}

    wins, _ = measure(
        benchmark,
        lambda archive: archive.add(offspring, scores),
        group=GROUP,
        label=f"archive: {classes:,} classes x {children} children, {state}",
        role="part",
        units=children,
        unit="child",
        rounds=30,
        setup=setup,
        note=f"{CHANGING:.0%} of the cells change" if state == "under way" else "",
    )
    assert (len(wins) == classes) == (state == "every cell changes")


@pytest.mark.parametrize("classes", CLASSES)
def test_breeding(benchmark: BenchmarkFixture, classes: int) -> None:
    encoding = encodings.load("cppn", (3, 224, 224))
    children = 400
    archive = full_archive(classes, individuals(grown(encoding, 64), classes, 0), 0.0)
    bred: list[Individual] = []
    evaluate = cast(Evaluator, bred.extend)
    config = MapElitesConfig(initial=children, children=children)
    algorithm = make_algorithm(config, 1, encoding, archive, evaluate)
    generations = iter(range(1, 1_000_000))

    measure(
        benchmark,
        lambda: algorithm.step(next(generations), False),
        group=GROUP,
        label=f"breeding: cppn, {classes:,} classes",
        role="part",
        units=children,
        unit="child",
        rounds=9,
        setup=bred.clear,
        note="graphs of 20 hidden nodes",
    )
    assert len(bred) == children


@pytest.mark.parametrize("classes", CLASSES)
def test_whole_campaign(benchmark: BenchmarkFixture, classes: int, tmp_path: Path) -> None:
    """All that a campaign does beside, transactions and statistics included."""
    children = 400
    ends: list[float] = []

    def note(_: Progress) -> None:
        ends.append(time.perf_counter())

    config = {
        "classifier": f"{HERE / 'victims.py'}:free_{classes}",
        "encoding": {"name": "cppn"},
        "evolution": {"initial": children, "children": children},
        "stop": {"generations": scaled(40, 4)},
        "scoring": {"batch": 25, "workers": 1},
    }
    result = measure(
        benchmark,
        _once(lambda: evolve(config, tmp_path / "run", progress=note)),
        group=GROUP,
        label=f"campaign: cppn, {classes:,} classes, a victim that costs next to nothing",
        role="part",
        units=children,
        unit="child",
        rounds=1,
        warm_up=False,
        note="median generation, the first ten left out; all but a real net, with storing",
    )
    assert result.summary["cells"] == classes
    generations = np.diff(ends)
    settled = generations[10:] if len(generations) > 20 else generations[1:]
    benchmark.extra_info["seconds_per_unit"] = median(settled) / children


def _once(work: Callable[[], Any]) -> Callable[[], Any]:
    """`pedantic` has scaled rounds, and a run folder can be made once."""
    found: list[Any] = []

    def first() -> Any:
        if not found:
            found.append(work())
        return found[0]

    return first
