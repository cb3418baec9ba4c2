"""Services through a Scorer: every picture sent is booked, every answer kept, the budget holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stub_services import FAST, SHAPE, Reply, Stub, of_contract, scores_of, stub

from evofool.classifiers import Classifier, load_classifier
from evofool.errors import BudgetError, ScoringError, ServiceError, UsageError
from evofool.scoring import Heading, Scorer
from evofool.store.answers import Answers

Images = NDArray[np.uint8]
MakeScorer = Callable[..., Scorer]


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).integers(0, 256, (40, *SHAPE), dtype=np.uint8)


def victim_of(url: str, **options: Any) -> Classifier:
    return load_classifier({"http": {"url": url, **FAST, **options}})


def sent(service: Stub) -> int:
    return sum(len(question.json()["images"]) for question in service.questions)


def every(n: int) -> Any:
    return of_contract(lambda number: Reply({}, 500) if number % n == n - 1 else None)


def test_scores_are_those_of_the_service(make_scorer: MakeScorer, images: Images) -> None:
    with stub() as service:
        scorer = make_scorer(victim_of(service.url), batch=8, workers=2)
        found = scorer.confidence(images)
    expected = np.array([scores_of(image) for image in images])
    assert np.allclose(found, expected, rtol=0, atol=1e-12)
    assert (scorer.engine, scorer.queries, scorer.forward_images) == ("http", 40, 40)
    assert scorer.ledger.sent[Heading.QUERIES] == sent(service) == 40


def test_failures_are_booked_as_retries(make_scorer: MakeScorer, images: Images) -> None:
    with stub(every(4)) as service:
        scorer = make_scorer(victim_of(service.url, pictures=3), batch=8, workers=2)
        scorer.score(images)
    shown = scorer.ledger.shown()
    assert shown["queries"] == scorer.queries == 40
    assert shown["total"] == sent(service) > 40
    assert shown["retries"] == sent(service) - 40
    assert scorer.forward_images == sent(service)


def test_the_budget_covers_what_failed(make_scorer: MakeScorer, images: Images) -> None:
    with stub(every(2)) as service:
        victim = victim_of(service.url, pictures=1, concurrency=3, retries=50)
        scorer = make_scorer(victim, batch=8, workers=2, budget=50)
        with pytest.raises(BudgetError):
            scorer.score(images)
    assert sent(service) == scorer.ledger.shown()["total"] == 50


def test_a_budget_that_is_just_enough(make_scorer: MakeScorer, images: Images) -> None:
    """What is under way must not count twice, once as a query and once as a retry."""
    with stub() as service:
        victim = victim_of(service.url, pictures=1, concurrency=8)
        scorer = make_scorer(victim, batch=4, workers=2, budget=40)
        for start in range(0, 40, 10):
            scorer.score(images[start : start + 10])
        assert scorer.left == 0
        with pytest.raises(BudgetError):
            scorer.score(images[:1])
    assert sent(service) == 40


def test_what_was_answered_is_not_sent_again(
    make_scorer: MakeScorer, images: Images, tmp_path: Path
) -> None:
    with stub(every(5)) as service:
        answers = Answers(tmp_path)
        first = make_scorer(victim_of(service.url), batch=8, workers=2)
        first.keep_answers(lambda _: answers)
        before = first.score(images)
        count = sent(service)
        second = make_scorer(victim_of(service.url), batch=16, workers=1)
        second.keep_answers(lambda _: answers)
        after = second.score(images)
        assert sent(service) == count
        assert np.array_equal(before.log_odds, after.log_odds)
        assert second.ledger.shown()["cached"] == second.queries == 40
        assert (second.ledger.shown()["total"], second.forward_images) == (0, 0)
        # another service, or another way to ask: other answers
        third = make_scorer(victim_of(service.url, picture="jpeg"), batch=8, workers=1)
        third.keep_answers(lambda _: answers)
        third.score(images[:3])
        assert third.ledger.shown()["cached"] == 0
        answers.close()


def test_one_picture_twice_is_sent_once(
    make_scorer: MakeScorer, images: Images, tmp_path: Path
) -> None:
    with stub() as service:
        scorer = make_scorer(victim_of(service.url), batch=8, workers=1)
        scorer.keep_answers(lambda _: Answers(tmp_path))
        scores = scorer.score(images[[0, 1, 0, 0]])
    assert sent(service) == 2
    assert np.array_equal(scores.log_odds[0], scores.log_odds[3])
    assert scorer.ledger.shown() | {"queries": 2, "cached": 2, "total": 2} == scorer.ledger.shown()


def test_answers_of_a_call_that_failed_are_kept(
    make_scorer: MakeScorer, images: Images, tmp_path: Path
) -> None:
    def faults(number: int) -> Reply | None:
        return Reply({}, 400) if number == 6 else None

    with stub(of_contract(faults)) as service:
        answers = Answers(tmp_path)
        victim = victim_of(service.url, pictures=1, concurrency=1)
        scorer = make_scorer(victim, batch=64, workers=1)
        scorer.keep_answers(lambda _: answers)
        with pytest.raises(ServiceError):
            scorer.score(images)
        assert len(answers) == 6
        scorer.again_from(0)
        scorer.score(images)
    assert sent(service) == scorer.ledger.shown()["total"] == 41
    assert scorer.ledger.shown()["cached"] == 6


@pytest.mark.parametrize("damage", [b"", b"x" * 23, b"x" * 24, b"x" * 32])
def test_a_damaged_answer_is_asked_for_again(
    make_scorer: MakeScorer, images: Images, tmp_path: Path, damage: bytes
) -> None:
    with stub() as service:
        answers = Answers(tmp_path)
        scorer = make_scorer(victim_of(service.url), batch=8, workers=1)
        scorer.keep_answers(lambda _: answers)
        before = scorer.score(images[:2])
        answers._db.execute("UPDATE answers SET value = ?", (damage,))
        after = scorer.score(images[:2])
        assert np.array_equal(before.log_odds, after.log_odds)
        assert sent(service) == 4


def test_labels_only(make_scorer: MakeScorer, images: Images, tmp_path: Path) -> None:
    def respond(asked: Any, _: int) -> Reply:
        from stub_services import LABELS, decoded

        rows = [np.argmax(scores_of(decoded(text))) for text in asked.json()["images"]]
        return Reply({"output": "label", "predictions": [LABELS[i] for i in rows]})

    with stub(respond) as service:
        spec = {
            "http": {"url": service.url, "declared": "x", **FAST},
            "labels": ["cat", "dog", "eel"],
            "input_shape": list(SHAPE),
            "output": "label",
        }
        scorer = make_scorer(load_classifier(spec), batch=8, workers=2)
        scorer.keep_answers(lambda _: Answers(tmp_path))
        found = scorer.labels(images)
        assert np.array_equal(found, scorer.labels(images))
        with pytest.raises(ScoringError, match="gives only labels"):
            scorer.score(images)
    assert found.tolist() == [int(np.argmax(scores_of(image))) for image in images]
    assert sent(service) == 40


def test_no_gradients_no_other_engine(make_scorer: MakeScorer, images: Images) -> None:
    with stub() as service:
        victim = victim_of(service.url)
        with pytest.raises(ScoringError, match="black box"):
            make_scorer(victim).gradients(images, lambda x, _: x.sum(1))
        with pytest.raises(UsageError, match="cannot run"):
            Scorer(victim, engine="torch")
        assert make_scorer(victim, engine="http").engine == "http"
    assert sent(service) == 0
