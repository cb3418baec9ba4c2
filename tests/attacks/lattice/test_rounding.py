"""The ladder of least perturbations in whole levels, against all integer perturbations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks.job import Job
from evofool.attacks.lattice.rounding import Rounder, ladder, margins_of, take
from evofool.classifiers import Classifier, from_module
from evofool.scoring import Scorer

SHAPE = (1, 2, 3)


def pictures(rungs: object, clean: np.ndarray) -> Iterator[np.ndarray]:
    for gain in rungs.gains:  # type: ignore[attr-defined]
        # a gain just below, so that float sums do not ask for one level more
        yield rungs.picture(float(gain) * (1 - 1e-12)).astype(int) - clean  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(6))
def test_no_integer_perturbation_gains_as_much_for_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clean = rng.choice(np.array([0, 1, 2, 100, 253, 254, 255], np.uint8), (1, 1, 4))
    slope = rng.normal(size=(1, 1, 4)).astype(np.float32) * 255
    rungs = ladder(clean, slope, float(np.abs(slope).sum()) / 255 * 1.5)
    reach = 3
    options = [range(max(-reach, -int(c)), min(reach, 255 - int(c)) + 1) for c in clean.flat]
    every = np.array(list(itertools.product(*options)))
    weights = slope.reshape(-1).astype(np.float64) / 255
    gains, squares = every @ weights, (every**2).sum(1)
    seen = 0
    for step in pictures(rungs, clean.astype(int)):
        if np.abs(step).max() > reach:
            break
        gain = float(step.reshape(-1) @ weights)
        assert squares[gains >= gain * (1 - 1e-9)].min() == (step**2).sum()
        seen += 1
    assert seen >= 2


def test_counts_its_own_gains_and_lengths() -> None:
    rng = np.random.default_rng(1)
    clean = rng.integers(0, 256, (3, 5, 5), dtype=np.uint8)
    slope = rng.normal(size=clean.shape).astype(np.float32)
    rungs = ladder(clean, slope, 2.0)
    assert rungs.top >= 2.0
    for gain in (0.01, 0.3, 1.0, 2.0):
        step = rungs.picture(gain).astype(int) - clean
        assert (step * slope / 255).sum() >= gain * (1 - 1e-6)
        assert (step**2).sum() == rungs.square(gain)


def test_ends_at_black_and_white() -> None:
    clean = np.array([[[0, 255, 10, 250, 7, 7]]], np.uint8)
    slope = np.array([[[-1, 1, -1, 1, 0, 1e-3]]], np.float32)
    rungs = ladder(clean, slope, 1e9)
    assert rungs.picture(1e9).tolist() == [[[0, 255, 0, 255, 7, 255]]]


def test_without_slope_there_is_nothing_to_climb() -> None:
    rungs = ladder(np.full(SHAPE, 7, np.uint8), np.zeros(SHAPE, np.float32), 1.0)
    assert rungs.top == 0
    assert (rungs.picture(1.0) == 7).all()


@pytest.fixture(scope="module")
def bent() -> Classifier:
    """A net that no linear model holds for: tanh twice."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 20), nn.Tanh(), nn.Linear(20, 4))
    return from_module(net, input_shape=(1, 6, 6), name="bent")


def test_settles_on_pictures_that_fool_and_hardly_more(bent: Classifier) -> None:
    images = np.random.default_rng(0).integers(60, 200, (12, 1, 6, 6), dtype=np.uint8)
    with Scorer(bent) as scorer:
        labels = scorer.labels(images)
        job = Job(scorer, images, labels, None, None, 0)
        rows = job.rows()
        clean = margins_of(job, rows, scorer.score(images))
        rounder = Rounder(job)
        rounder.touching(rows, job.start, clean)
        assert rounder.again(rows, clean, 3).all()
        assert job.check(rows).all()
        assert job.verify_forward.sum() == 0  # the pictures that stand were scored on the way
        for row in rows.tolist():
            step = job.pixels[row].astype(int) - images[row]
            assert (step**2).sum() == rounder.squares[row]
            shorter = np.trunc(step * 0.8).astype(int) + images[row]
            assert scorer.labels(shorter[None].astype(np.uint8))[0] == labels[row]


def test_a_lead_is_kept(bent: Classifier) -> None:
    images = np.random.default_rng(5).integers(60, 200, (6, 1, 6, 6), dtype=np.uint8)
    with Scorer(bent) as scorer:
        labels = scorer.labels(images)
        job = Job(scorer, images, labels, None, None, 0)
        rows = job.rows()
        clean = margins_of(job, rows, scorer.score(images))
        rounder = Rounder(job, lead=0.05)
        rounder.touching(rows, job.start, clean)
        assert rounder.again(rows, clean, 3).any()
        done = rows[rounder.settled(rows)]
        found = margins_of(job, done, scorer.score(job.on_lattice(done)))
        assert (found >= 0.05).all()
        assert (found < 0.1).all()


def test_margins_are_those_of_the_goal(bent: Classifier) -> None:
    images = np.random.default_rng(2).integers(0, 256, (5, 1, 6, 6), dtype=np.uint8)
    labels, targets = np.array([0, 1, 2, 3, 0]), np.array([1, 2, 3, 0, 2])
    with Scorer(bent) as scorer:
        scores = scorer.score(images)
        outputs = torch.from_numpy(np.asarray(scores.outputs))
        for aim in (None, targets):
            job = Job(scorer, images, labels, aim, None, 0)
            wanted = job.goal.margin(outputs, torch.arange(5)).numpy()
            assert margins_of(job, job.rows(), scores) == pytest.approx(wanted, abs=1e-6)
        part = take(scores, slice(1, 3))
        assert (part.labels == scores.labels[1:3]).all()
        assert len(part) == 2
