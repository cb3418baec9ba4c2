"""Campaigns beside each other, and beside a program that uses the global generators."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.evolution.campaign import evolve

Make = Callable[..., dict[str, Any]]
DIGESTS = {
    3: "3c1b999f3be4b4089e92e8a1c2ac26c59b6e7010cfe094d2b50f72d3d2bb126c",
    4: "5ec1bcd3513eb8217b57e00c7e9cd128cda6c0b61c4ed78decff2dd8e0da3244",
}
"""Of mu_plus_lambda against the exact toy, as they were when DEAP drew from the global generators
of a program that did nothing else."""


def _mu_plus_lambda(make: Make, seed: int) -> dict[str, Any]:
    evolution = {
        "algorithm": "mu_plus_lambda", "target": 3, "initial": 20, "children": 20, "mu": 8,
    }  # fmt: skip
    sections = make(evolution=evolution, seed=seed)
    sections["encoding"]["swap"] = True
    return sections


def _cma_es(make: Make, seed: int) -> dict[str, Any]:
    evolution = {"algorithm": "cma_es", "target": 3, "initial": 10, "children": 12}
    return make(evolution=evolution, encoding={"name": "direct"}, seed=seed)


@pytest.mark.parametrize("sections", [_mu_plus_lambda, _cma_es])
def test_campaigns_at_once_are_as_alone(
    toy_campaign: Make, tmp_path: Path, sections: Callable[[Make, int], dict[str, Any]]
) -> None:
    """While another thread draws from the global generators all the time."""
    seeds = (3, 4)
    alone = {
        seed: evolve(sections(toy_campaign, seed), tmp_path / f"alone-{seed}").summary
        for seed in seeds
    }
    digests = {seed: summary["archive_digest"] for seed, summary in alone.items()}
    assert sections is _cma_es or digests == DIGESTS

    over = threading.Event()

    def draw() -> None:
        while not over.is_set():
            random.random()
            np.random.standard_normal(3)  # noqa: NPY002

    meet = threading.Barrier(2, timeout=600)

    def run(seed: int) -> str:
        # side by side in every generation: the barrier is passed by both or by none
        found = evolve(
            sections(toy_campaign, seed),
            tmp_path / f"beside-{seed}",
            progress=lambda _: meet.wait() and None,
        )
        return str(found.summary["archive_digest"])

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            beside = dict(zip(seeds, pool.map(run, seeds), strict=True))
    finally:
        over.set()
        drawing.join()
    assert beside == digests


@pytest.mark.parametrize("sections", [_mu_plus_lambda, _cma_es])
def test_a_program_keeps_its_own_sequence(
    toy_campaign: Make, tmp_path: Path, sections: Callable[[Make, int], dict[str, Any]]
) -> None:
    """What it draws in the middle of a generation is not drawn a second time afterwards."""
    drawn: list[float] = []

    def should_stop() -> bool:
        drawn.extend((random.random(), np.random.random()))  # noqa: NPY002
        return False

    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    evolve(sections(toy_campaign, 3), tmp_path / "run", should_stop=should_stop)
    python, numpy = random.Random(5), np.random.RandomState(5)
    assert len(drawn) > 30
    pairs = [(python.random(), numpy.random_sample()) for _ in range(len(drawn) // 2)]
    assert drawn == [value for pair in pairs for value in pair]
