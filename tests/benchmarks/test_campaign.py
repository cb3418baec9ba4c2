"""40,200 evaluations of mnist-lenet by direct images: evofool, pyribs, and a naive DEAP loop.

evofool and pyribs are whole processes with start-up (the victim's exported graph is in the cache,
as from the second start on); both score by the same engine with two workers. The DEAP loop is
measured on fewer evaluations without start-up.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from measuring import HERE, Process, measure, scaled
from pytest_benchmark.fixture import BenchmarkFixture
from rivals import deap_loop

from evofool import Scorer, load_classifier

INITIAL = CHILDREN = 200
GENERATIONS = scaled(200)
EVALUATIONS = INITIAL + GENERATIONS * CHILDREN
GROUP = f"MNIST, direct encoding, {EVALUATIONS:,} evaluations, two workers"


@pytest.fixture(scope="module", autouse=True)
def _warm(_own_cache: None) -> None:
    """The victim's graph is in the cache."""
    with Scorer(load_classifier("mnist-lenet")):
        pass


def test_evofool(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    rounds = iter(range(1000))
    out = tmp_path

    def whole() -> None:
        nonlocal out
        out = tmp_path / str(next(rounds))
        stop = f"stop.generations={GENERATIONS}"
        Process(["-m", "evofool", "evolve", "mnist-direct", stop, "--out", str(out)])

    measure(
        benchmark,
        whole,
        group=GROUP,
        label="evofool evolve mnist-direct",
        role="ours",
        units=EVALUATIONS,
        unit="evaluation",
        rounds=5,
        note="whole process: start-up, run folder, pictures and page",
    )
    summary = json.loads((out / "summary.json").read_text())
    assert summary["evaluations"] == EVALUATIONS
    benchmark.extra_info["figures"] = {
        "the campaign alone": f"{summary['seconds']:.2f} s",
        "cells won": f"{summary['cells_won']} of 10",
        "median confidence": f"{summary['confidence']['median']:.4f}",
    }


def test_pyribs(benchmark: BenchmarkFixture) -> None:
    done = measure(
        benchmark,
        lambda: Process([str(HERE / "rivals" / "ribs_campaign.py"), str(EVALUATIONS)]),
        group=GROUP,
        label="pyribs MAP-Elites, argmax niches",
        role="rival",
        units=EVALUATIONS,
        unit="evaluation",
        rounds=5,
        note="whole process, nothing stored or drawn; scored by our Scorer",
    )
    assert done.said["evaluations"] == EVALUATIONS
    benchmark.extra_info["figures"] = {
        "the loop alone": f"{done.said['seconds']:.2f} s",
        "cells filled": f"{done.said['cells_filled']} of 10",
        "median confidence of these": f"{done.said['median_of_filled']:.4f}",
    }


@pytest.mark.parametrize("crossover", [0.0, 0.5], ids=["mutation", "crossover"])
@pytest.mark.usefixtures("_one_thread")
def test_naive_deap(benchmark: BenchmarkFixture, crossover: float) -> None:
    net = load_classifier("mnist-lenet").module
    assert net is not None
    count = scaled(1000, 50)
    best = measure(
        benchmark,
        lambda: deap_loop.campaign(net, count // 10, count - count // 10, crossover),
        group=GROUP,
        label=f"naive DEAP loop, {'crossover and mutation' if crossover else 'mutation alone'}",
        role="rival",
        units=count,
        unit="evaluation",
        rounds=3,
        note=f"lists, one image a call, torch with one thread; {count} evaluations, no start-up",
    )
    assert all(0 <= confidence <= 1 for confidence in best)
