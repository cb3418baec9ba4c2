"""Log-odds and confidences, held to arithmetic of 400 digits."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evofool.errors import ScoringError
from evofool.scoring import Scores, fitness_of, sigmoid
from evofool.scoring.ranking import probability_log_odds, softmax_log_odds, to_scores


def oracle_log_odds(logits: list[float], c: int, digits: int = 400) -> float:
    """z_c - log sum_{j != c} exp z_j, by the book."""
    with localcontext() as context:
        context.prec = digits
        rest = sum((Decimal(z).exp() for j, z in enumerate(logits) if j != c), Decimal(0))
        return float(Decimal(logits[c]) - rest.ln())


def oracle_softmax(logits: list[float], digits: int = 400) -> list[float]:
    with localcontext() as context:
        context.prec = digits
        powers = [Decimal(z).exp() for z in logits]
        return [float(power / sum(powers)) for power in powers]


def saturating() -> NDArray[np.float32]:
    """The margins at which a float32 softmax, and log-softmax, no longer move."""
    return np.array([[m, 0.0, -1.0] for m in (15.0, 20.0, 40.0, 41.0, 100.0, 200.0)], np.float32)


@pytest.mark.parametrize(
    "logits",
    [
        [1.0, 2.0, 3.0],
        [40.0, 0.0, -1.0],
        [200.0, 0.0, 1.0, 2.0],
        [800.0, 0.0, -3.0],
        [-800.0, 0.0, 800.0],
        [0.0, 0.0, 0.0, 0.0],
        [5.0, 5.0, -700.0],
        [1e4, 1e4 - 1, 1e4 - 30],
        [-1e4, -1e4 - 1, -1e4 - 50],
        [1.0, 1.0 + 1e-9, 0.0],
        [30.0, -30.0],
        [float(x) for x in np.random.default_rng(0).normal(0, 8, 50)],
    ],
)
def test_log_odds_and_confidences_against_the_oracle(logits: list[float]) -> None:
    scores = to_scores(np.array([logits]), "logits", "softmax", 1)
    expected = [oracle_log_odds(logits, c) for c in range(len(logits))]
    assert scores.log_odds[0].tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert scores.confidence[0] == pytest.approx(oracle_softmax(logits), rel=1e-9, abs=0)
    assert np.abs(scores.confidence[0] - oracle_softmax(logits)).max() <= 1e-12


@given(st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=12))
def test_any_logits(logits: list[float]) -> None:
    scores = to_scores(np.array([logits], np.float32), "logits", "softmax", 1)
    expected = [oracle_log_odds(logits, c, 100) for c in range(len(logits))]
    assert scores.log_odds[0].tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert np.abs(scores.confidence[0] - oracle_softmax(logits, 100)).max() <= 1e-12
    assert scores.labels[0] == logits.index(max(logits))


def test_still_ordered_where_float32_is_saturated() -> None:
    logits = saturating()
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = powers / powers.sum(axis=1, keepdims=True)
    assert len(np.unique(softmax[1:, 0])) == 1  # what a float32 softmax makes of them
    odds = softmax_log_odds(logits)
    assert (np.diff(odds[:, 0]) > 0).all()
    assert np.diff(odds[2:4, 0]) == pytest.approx(1.0)
    assert (np.diff(odds[:, 1]) < 0).all()  # and in the other tail


def test_a_shift_of_all_logits_changes_nothing() -> None:
    logits = np.random.default_rng(1).normal(0, 4, (20, 6))
    assert softmax_log_odds(logits + 4096) == pytest.approx(softmax_log_odds(logits), abs=1e-11)


def test_equal_logits_have_equal_log_odds_and_the_lowest_index_wins() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 5, (500, 10)).astype(np.float32)
    first, second = np.sort(np.argsort(rng.random((500, 10)))[:, :2]).T
    rows = np.arange(500)
    logits[rows, first] = logits[rows, second] = logits.max(axis=1) + rng.random(500)
    scores = to_scores(logits, "logits", "softmax", 1)
    assert (scores.log_odds[rows, first] == scores.log_odds[rows, second]).all()
    assert (scores.labels == first).all()


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_log_odds_rank_classes_as_logits_do(logits: list[float]) -> None:
    odds = softmax_log_odds(np.array(logits))
    order = np.argsort(np.array(logits), kind="stable")
    assert (np.diff(odds[order]) >= 0).all()


def test_minus_infinity_is_a_probability_of_nothing() -> None:
    with np.errstate(all="raise", under="ignore"):
        odds = softmax_log_odds(np.array([[0.0, 1.0, -np.inf], [2.0, -np.inf, -np.inf]]))
    assert odds.tolist() == [[-1.0, 1.0, -np.inf], [np.inf, -np.inf, -np.inf]]
    assert sigmoid(odds)[1].tolist() == [1.0, 0.0, 0.0]


def test_a_single_class_has_no_odds() -> None:
    with pytest.raises(ScoringError, match="two classes"):
        softmax_log_odds(np.zeros((3, 1)))


@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, 40.0, -40.0, 745.0, -745.0, 1e6, -1e6])
def test_sigmoid_in_both_tails(x: float) -> None:
    with localcontext() as context:
        context.prec = 400
        power = Decimal(abs(x)).exp()
        expected = float((power if x >= 0 else 1) / (1 + power))
    with np.errstate(over="raise", invalid="raise"):
        assert sigmoid(np.array([x]))[0] == pytest.approx(expected, rel=1e-12, abs=5e-324)


# links


def test_a_sigmoid_link_takes_every_logit_by_itself() -> None:
    scores = to_scores(np.array([[0.0, 3.0, -50.0]], np.float32), "logits", "sigmoid", 1)
    assert scores.log_odds.dtype == np.float64
    assert scores.log_odds.tolist() == [[0.0, 3.0, -50.0]]
    assert scores.confidence.tolist() == [
        pytest.approx([0.5, 1 / (1 + math.exp(-3)), math.exp(-50)], rel=1e-12)
    ]


@pytest.mark.parametrize(("output", "link"), [("probs", "identity"), ("logits", "identity")])
def test_an_identity_link_keeps_confidences(output: str, link: str) -> None:
    p = np.array([[0.25, 1e-12, 0.75 - 1e-12]])
    scores = to_scores(p, output, link, 1)  # type: ignore[arg-type]
    assert scores.confidence == pytest.approx(p, rel=1e-12)
    assert scores.log_odds[0, 0] == pytest.approx(math.log(1 / 3))


def test_log_probabilities_are_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 6))
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    one, two = (to_scores(z, "log_probs", "softmax", 1).confidence for z in (logits, log_p))
    assert one == pytest.approx(two, abs=1e-14)
    assert np.log(two) == pytest.approx(log_p, abs=1e-12)


def test_certain_probabilities_are_infinite_odds() -> None:
    with np.errstate(all="raise"):
        scores = to_scores(np.array([[0.0, 1.0, 0.5]]), "probs", "identity", 1)
    assert scores.log_odds.tolist() == [[-np.inf, np.inf, 0.0]]
    assert scores.confidence.tolist() == [[0.0, 1.0, 0.5]]


def test_what_a_service_does_not_say_is_zero() -> None:
    scores = to_scores(np.array([[np.nan, 0.6, np.nan, 0.3]]), "topk", "identity", 1)
    assert scores.confidence[0] == pytest.approx([0.0, 0.6, 0.0, 0.3])
    assert scores.log_odds[0, 0] == scores.log_odds[0, 2] == -np.inf
    assert scores.labels.tolist() == [1]


def test_rounding_just_outside_is_forgiven() -> None:
    assert probability_log_odds(np.array([1 + 1e-6, -1e-6])).tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("bad", [1.01, -0.01, 17.0, np.inf, -np.inf])
def test_no_probability(bad: float) -> None:
    with pytest.raises(ScoringError, match="output: logits"):
        probability_log_odds(np.array([[0.5, bad]]))


def test_ties_of_probabilities_stay_ties() -> None:
    odds = probability_log_odds(np.array([0.3, 0.3, 0.4], np.float32))
    assert odds[0] == odds[1] < odds[2]


def test_labels_alone_cannot_be_ranked() -> None:
    with pytest.raises(ScoringError, match="only labels"):
        to_scores(np.array([1, 2]), "label", "identity", 1)


# crops


@pytest.mark.parametrize(
    ("output", "link"), [("logits", "softmax"), ("logits", "sigmoid"), ("probs", "identity")]
)
def test_crops_are_averaged_as_confidences(output: str, link: str) -> None:
    rng = np.random.default_rng(6)
    outputs = rng.normal(0, 4, (30, 7))
    if output == "probs":
        outputs = np.abs(np.sin(outputs))
    each = to_scores(outputs, output, link, 1).confidence  # type: ignore[arg-type]
    scores = to_scores(outputs, output, link, 10)  # type: ignore[arg-type]
    plain = np.stack([each[10 * i : 10 * i + 10].mean(axis=0) for i in range(3)])
    assert len(scores) == 3
    assert scores.outputs is None
    assert scores.confidence == pytest.approx(plain, rel=1e-12)
    assert scores.log_odds == pytest.approx(np.log(plain / (1 - plain)), rel=1e-10)


def test_averaged_crops_do_not_saturate() -> None:
    logits = np.repeat([[60.0, 0.0], [61.0, 0.0]], 10, axis=0)
    odds = to_scores(logits, "logits", "softmax", 10).log_odds
    assert odds == pytest.approx(np.array([[60.0, -60.0], [61.0, -61.0]]))


def test_one_certain_crop_does_not_make_nan() -> None:
    p = np.full((10, 2), 0.5)
    p[0] = [1.0, 0.0]
    scores = to_scores(p, "probs", "identity", 10)
    assert scores.confidence[0] == pytest.approx([0.55, 0.45])
    certain = to_scores(np.repeat([[1.0, 0.0]], 10, axis=0), "probs", "identity", 10)
    assert certain.log_odds.tolist() == [[np.inf, -np.inf]]


# fitness


def test_fitness_saturates_where_published_code_does() -> None:
    odds = softmax_log_odds(saturating())
    assert fitness_of(odds, "log_odds") is odds
    assert (np.diff(odds[:, 0]) > 0).all()
    for kind in ("probability", "log_probability"):
        fitness = fitness_of(odds, kind)  # type: ignore[arg-type]
        assert fitness.dtype == np.float64
        assert (fitness == fitness.astype(np.float32)).all()
    assert (fitness_of(odds, "probability")[1:, 0] == 1.0).all()
    assert fitness_of(odds, "probability")[0, 0] < 1.0


def test_log_probability_is_ordered_where_probability_underflows() -> None:
    odds = np.array([[-200.0, -100.0, -10.0, 0.0]])
    assert fitness_of(odds, "log_probability")[0] == pytest.approx(
        [-200.0, -100.0, -10.0000454, -math.log(2)], rel=1e-7
    )
    assert fitness_of(odds, "probability")[0, 0] == 0.0


def test_no_images_no_scores() -> None:
    scores = to_scores(np.zeros((0, 4)), "logits", "softmax", 10)
    assert len(scores) == 0
    assert scores.confidence.shape == (0, 4)
    assert isinstance(scores, Scores)
