"""What a trace notes of an attack, held against scores that are taken anew."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.attacks import NES, PGD, GradientAscent, Square
from evofool.attacks.base import Attack
from evofool.attacks.trace import Trace, powers_of_two, running_costs
from evofool.classifiers import Classifier
from evofool.errors import UsageError
from evofool.scoring import Scorer

BARS = (0.0, float(np.log(9)))
TARGETS = np.array([0, 1, 2, 3, 4])
SHARE = 60


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (5, 1, 6, 6), dtype=np.uint8)


def traced(
    victim: Classifier, attack: Attack, share: int = SHARE
) -> tuple[Trace, NDArray[np.int64]]:
    """The trace of an attack from noise to every class, and what each search cost."""
    trace = Trace(share, BARS)
    with Scorer(victim, batch=8) as scorer:
        result = attack(scorer, noise(), targets=TARGETS, trace=trace)
    return trace, result.forward_each + 2 * result.backward_each + result.verify_each


ATTACKS = (
    GradientAscent(steps=12, confidence=None, step_size=0.05),
    GradientAscent(setting="nguyen-1", steps=12, confidence=None),
    PGD(eps=1.0, steps=12, step_size=0.05),
    Square(eps=1.0, queries=40),
    NES(eps=1.0, queries=40, samples=10, lr=0.1, sigma=0.1),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_the_best_picture_is_as_sure_as_the_trace_claims(
    victim: Classifier, attack: Attack
) -> None:
    trace, spent = traced(victim, attack)
    with Scorer(victim) as scorer:
        odds = scorer.score(trace.pictures).log_odds[np.arange(5), TARGETS]
    np.testing.assert_allclose(trace.best, odds, atol=1e-4)
    np.testing.assert_array_equal(trace.log_odds[:, -1], trace.best)
    assert (np.diff(trace.log_odds, axis=1)[:, 1:] >= 0).all()
    assert (spent <= SHARE).all()
    # what was seen after one pass is the picture that the search began with, or its first try
    assert np.isfinite(trace.log_odds[:, 0]).all()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_a_traced_attack_goes_on_after_it_fools(linear: Classifier, attack: Attack) -> None:
    trace, spent = traced(linear, attack)
    assert (trace.reached[:, 0] > 0).any()  # some are above 1/2 before the end
    budget = 3 * 12 if isinstance(attack, GradientAscent | PGD) else 40
    assert (spent >= budget).all()


def test_the_cost_of_every_bar_is_where_the_curve_passes_it(linear: Classifier) -> None:
    trace, _ = traced(linear, Square(eps=1.0, queries=40))
    for row in range(5):
        for bar, cost in zip(BARS, trace.reached[row].tolist(), strict=True):
            if cost == 0:
                assert trace.best[row] < bar
                continue
            after = trace.costs >= cost
            assert (trace.log_odds[row, after] >= bar).all()
            assert not (trace.log_odds[row, ~after] >= bar).any()


def test_the_first_gradient_step_costs_three(victim: Classifier) -> None:
    """Of ascent: the picture it starts from at cost 1, the next one at cost 4."""
    trace, spent = traced(victim, GradientAscent(steps=1, confidence=None, step_size=0.05))
    assert trace.costs[:3].tolist() == [1, 2, 4]
    assert (trace.log_odds[:, 1] == trace.log_odds[:, 0]).all()
    assert (trace.log_odds[:, 2] > trace.log_odds[:, 0]).all()
    assert (spent == 1 + 2 + 1 + 1).all()  # and both the picture and its floats are judged


def test_what_lies_beyond_the_share_does_not_count(victim: Classifier) -> None:
    whole, _ = traced(victim, Square(eps=1.0, queries=40))
    part, _ = traced(victim, Square(eps=1.0, queries=40), share=16)
    np.testing.assert_array_equal(part.log_odds, whole.log_odds[:, : len(part.costs)])
    np.testing.assert_array_equal(part.best, part.log_odds[:, -1])
    assert (part.best < whole.best).any()


def test_ascent_without_a_confidence_makes_all_steps(linear: Classifier) -> None:
    with Scorer(linear) as scorer:
        result = GradientAscent(steps=30, confidence=None)(scorer, noise(), targets=TARGETS)
        sooner = GradientAscent(steps=30, confidence=0.5)(scorer, noise(), targets=TARGETS)
    assert (result.backward_each == 30).all()
    assert (sooner.backward_each < 30).all()
    assert result.success.all()
    assert (result.sought_confidence > sooner.sought_confidence).all()


def test_pictures_that_are_booked_at_once_cost_one_after_the_other() -> None:
    rows = np.array([2, 0, 2, 2, 0])
    now = np.array([10, 0, 7])
    assert running_costs(rows, now, 1).tolist() == [5, 9, 6, 7, 10]
    assert running_costs(rows, now, 2).tolist() == [3, 8, 5, 7, 10]
    assert running_costs(rows[:0], now, 1).tolist() == []


def test_the_points_of_a_curve() -> None:
    assert powers_of_two(1).tolist() == [1]
    assert powers_of_two(8).tolist() == [1, 2, 4, 8]
    assert powers_of_two(9).tolist() == [1, 2, 4, 8, 9]
    with pytest.raises(UsageError, match="at least 1"):
        Trace(0)


def test_a_trace_needs_targets(victim: Classifier) -> None:
    with Scorer(victim) as scorer, pytest.raises(UsageError, match="give targets"):
        Square()(scorer, noise(), labels=TARGETS, trace=Trace(5))
