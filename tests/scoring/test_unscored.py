"""-inf is a probability of 0; NaN and +inf are no scores, of one image and of no other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.classifiers import Classifier
from evofool.errors import ScoringError
from evofool.scoring import Scorer
from evofool.scoring.ranking import NO_CLASS, to_scores

INF, NAN = np.inf, np.nan
MakeScorer = Callable[..., Scorer]


def test_a_masked_class_of_a_softmax() -> None:
    """As if it were not there: the others get what a softmax over them alone gives."""
    odds = to_scores(np.array([[1.0, -INF, 2.0, -1.0]]), "logits", "softmax", 1).log_odds
    alone = to_scores(np.array([[1.0, 2.0, -1.0]]), "logits", "softmax", 1).log_odds
    assert odds[0, 1] == -INF
    np.testing.assert_array_equal(odds[:, [0, 2, 3]], alone)


def test_all_classes_but_one_are_masked() -> None:
    scores = to_scores(np.array([[-INF, 3.0, -INF]]), "logits", "softmax", 1)
    assert scores.log_odds.tolist() == [[-INF, INF, -INF]]
    assert scores.confidence.tolist() == [[0.0, 1.0, 0.0]]
    assert (scores.labels.tolist(), scores.scored.tolist()) == ([1], [True])


def test_order_survives_saturation_beside_a_masked_class() -> None:
    """Log-odds of float64 still order what a float32 softmax calls 1."""
    logits = np.array([[40.0, -INF, 0.0], [60.0, -INF, 0.0]], np.float32)
    odds = to_scores(logits, "logits", "softmax", 1).log_odds
    assert odds[:, 0].tolist() == [40.0, 60.0]


@pytest.mark.parametrize(
    ("output", "link", "row", "odds"),
    [
        ("logits", "sigmoid", [-INF, 0.0], [-INF, 0.0]),
        ("log_probs", "softmax", [-INF, 0.0], [-INF, INF]),
        ("log_probs", "identity", [-INF, np.log(0.5)], [-INF, 0.0]),
        ("probs", "identity", [0.0, 1.0], [-INF, INF]),
        ("topk", "identity", [NAN, 0.5], [-INF, 0.0]),
    ],
)
def test_the_logarithm_of_0(output: Any, link: Any, row: list[float], odds: list[float]) -> None:
    scores = to_scores(np.array([row]), output, link, 1)
    assert scores.scored.all()
    np.testing.assert_allclose(scores.log_odds[0], odds, atol=1e-12)


@pytest.mark.parametrize(
    ("output", "link", "row"),
    [
        ("logits", "softmax", [NAN, 0.0]),
        ("logits", "softmax", [INF, 0.0]),
        ("logits", "softmax", [-INF, -INF]),
        ("logits", "sigmoid", [0.0, NAN]),
        ("logits", "sigmoid", [0.0, INF]),
        ("log_probs", "softmax", [NAN, -1.0]),
        ("log_probs", "identity", [NAN, -1.0]),
        ("probs", "identity", [NAN, 0.5]),
        ("topk", "identity", [NAN, NAN]),
    ],
)
def test_a_row_that_says_nothing(output: Any, link: Any, row: list[float]) -> None:
    good = [-0.7, -0.7] if output == "log_probs" else [0.25, 0.5]
    alone = to_scores(np.array([good]), output, link, 1)
    scores = to_scores(np.array([good, row, good]), output, link, 1)
    assert scores.scored.tolist() == [True, False, True]
    assert np.isnan(scores.log_odds[1]).all()
    assert np.isnan(scores.confidence[1]).all()
    assert scores.labels[1] == NO_CLASS
    for i in (0, 2):
        np.testing.assert_array_equal(scores.log_odds[i], alone.log_odds[0])
        assert scores.labels[i] == alone.labels[0]


def test_a_crop_that_says_nothing() -> None:
    logits = np.tile([1.0, 2.0, 3.0], (20, 1))
    logits[13] = NAN
    logits[4, 0] = -INF
    scores = to_scores(logits, "logits", "softmax", 10)
    assert scores.scored.tolist() == [True, False]
    assert scores.labels.tolist() == [2, NO_CLASS]


def test_probabilities_that_are_infinite_are_refused() -> None:
    with pytest.raises(ScoringError, match="-inf"):
        to_scores(np.array([[-INF, 0.5]]), "probs", "identity", 1)


def test_a_scorer_refuses_them_unless_told(
    black_box: Classifier, make_scorer: MakeScorer, images: NDArray[np.uint8]
) -> None:
    predict = black_box.predict
    assert predict is not None

    def patchy(batch: NDArray[np.uint8]) -> Any:
        scores = np.array(predict(batch))
        scores[(batch == images[7]).all(axis=(1, 2, 3))] = NAN
        return scores

    scorer = make_scorer(dataclasses.replace(black_box, predict=patchy), batch=3)
    for ask in (scorer.score, scorer.confidence, scorer.labels, scorer.logits):
        with pytest.raises(ScoringError, match=r"box gave non-finite scores \(image 7 of 11\)"):
            ask(images)
    scores = scorer.score(images, keep_unscored=True)
    assert np.flatnonzero(~scores.scored).tolist() == [7]
    whole = make_scorer(black_box, batch=3).score(images)
    np.testing.assert_array_equal(np.delete(scores.log_odds, 7, 0), np.delete(whole.log_odds, 7, 0))
    streamed = list(scorer.map([lambda: images[6:9], lambda: images[:2]]))
    assert [part.scored.tolist() for part in streamed] == [[True, False, True], [True, True]]
