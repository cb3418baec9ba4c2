"""`Scorer.map`: making the next images overlaps with scoring the last. No sleeps: events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.classifiers import Classifier
from evofool.errors import BudgetError, ImageError, ScoringError
from evofool.scoring import Scorer

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]
LONG = 600.0
"""Seconds until a test gives up on an event; none is waited for when all is well."""


def parts_of(images: Images, size: int) -> list[Images]:
    return [images[i : i + size] for i in range(0, len(images), size)]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_order_is_kept(
    victim: Classifier, make_scorer: MakeScorer, images: Images, workers: int
) -> None:
    expected = make_scorer(victim).score(images).log_odds
    scorer = make_scorer(victim, batch=2, workers=workers)
    parts = list(scorer.map(lambda part=part: part for part in parts_of(images, 2)))
    assert [len(part) for part in parts] == [2, 2, 2, 2, 2, 1]
    assert np.concatenate([part.log_odds for part in parts]) == pytest.approx(expected, abs=1e-5)
    assert (scorer.queries, scorer.forward_images) == (11, 11)


def test_order_is_kept_when_the_first_is_the_slowest(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    second_made = threading.Event()

    def first() -> Images:
        assert second_made.wait(LONG)
        return images[:1]

    def second() -> Images:
        second_made.set()
        return images[1:2]

    scorer = make_scorer(victim, workers=2)
    expected = scorer.score(images[:2]).log_odds
    found = [part.log_odds for part in scorer.map([first, second])]
    assert np.concatenate(found) == pytest.approx(expected, abs=1e-5)


def test_it_runs_ahead(victim: Classifier, make_scorer: MakeScorer, images: Images) -> None:
    """The second producer runs while the first waits for it, and the third is drawn meanwhile."""
    second_runs, third_drawn = threading.Event(), threading.Event()

    def first() -> Images:
        assert second_runs.wait(LONG)
        assert third_drawn.wait(LONG)
        return images[:1]

    def second() -> Images:
        second_runs.set()
        return images[1:2]

    def draw() -> Iterator[Callable[[], Images]]:
        yield first
        yield second
        third_drawn.set()
        yield lambda: images[2:3]

    assert len(list(make_scorer(victim, workers=2).map(draw()))) == 3


def test_it_runs_only_a_few_ahead(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    """Else a generation of large images would stand in memory."""
    workers = 2
    release = threading.Event()
    drawn = 0
    most = 0
    taken = 0

    def produce() -> Images:
        assert release.wait(LONG)
        return images[:1]

    def draw() -> Iterator[Callable[[], Images]]:
        nonlocal drawn, most
        for _ in range(30):
            drawn += 1
            most = max(most, drawn - taken)
            if drawn == 2 * workers + 1:
                release.set()
            yield produce

    for _ in make_scorer(victim, workers=workers).map(draw()):
        taken += 1
    assert taken == 30
    assert workers < most <= 2 * workers + 1


def test_nothing_to_map(victim: Classifier, make_scorer: MakeScorer) -> None:
    assert list(make_scorer(victim).map([])) == []


class Broken(Exception):
    pass


@pytest.mark.parametrize("at", [0, 3, 9])
def test_an_exception_in_a_producer_surfaces_and_nothing_runs_on(
    victim: Classifier, make_scorer: MakeScorer, images: Images, at: int
) -> None:
    made: list[int] = []

    def produce(i: int) -> Images:
        made.append(i)
        if i == at:
            raise Broken(str(i))
        return images[:1]

    scorer = make_scorer(victim, workers=2)
    stream = scorer.map(lambda i=i: produce(i) for i in range(100))
    for _ in range(at):
        next(stream)
    with pytest.raises(Broken, match=str(at)):
        next(stream)
    count = len(made)
    assert count < 100
    drain(scorer)
    assert len(made) == count
    assert len(scorer.score(images)) == 11  # and the scorer goes on


def test_an_exception_in_the_generator_surfaces(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    done = threading.Event()

    def produce() -> Images:
        done.set()
        return images[:1]

    def draw() -> Iterator[Callable[[], Images]]:
        yield produce
        assert done.wait(LONG)
        raise Broken

    scorer = make_scorer(victim)
    with pytest.raises(Broken):
        list(scorer.map(draw()))
    drain(scorer)


def test_leaving_early_leaves_nothing_behind(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    made: list[int] = []

    def produce(i: int) -> Images:
        made.append(i)
        return images[:1]

    scorer = make_scorer(victim, workers=2)
    stream: Any = scorer.map(lambda i=i: produce(i) for i in range(100))
    next(stream)
    stream.close()
    count = len(made)
    drain(scorer)
    assert len(made) == count < 100


def test_the_budget_holds_in_a_map(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, batch=4, workers=2, budget=8)
    with pytest.raises(BudgetError):
        list(scorer.map(lambda part=part: part for part in parts_of(images, 4)))
    assert scorer.queries == scorer.forward_images <= 8


def test_too_many_or_wrong_images(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, batch=4)
    with pytest.raises(ScoringError, match="11 images in a micro-batch of 4"):
        list(scorer.map([lambda: images]))
    with pytest.raises(ImageError):
        list(scorer.map([lambda: images[:1, :, :3]]))
    assert scorer.queries == scorer.forward_images == 0


def drain(scorer: Scorer) -> None:
    """Whatever was queued has run when this returns, on every worker."""
    barrier = threading.Barrier(scorer.workers + 1)
    for _ in range(scorer.workers):
        scorer._pool.submit(barrier.wait, LONG)
    barrier.wait(LONG)


def test_nothing_is_booked_that_was_never_sent(make_scorer: Any) -> None:
    """Workers elsewhere may be lost before a micro-batch has found one."""
    from concurrent.futures import ThreadPoolExecutor

    from evofool.classifiers import load_classifier
    from evofool.scoring.stream import Parcel

    class Portable:
        keep = None

        def __call__(self) -> Any:
            raise AssertionError("it is made elsewhere")

        def parcel(self) -> Parcel:
            return Parcel(4, None)

    class Nobody:
        ahead = 1

        def __init__(self, threads: ThreadPoolExecutor) -> None:
            self.threads = threads

        def score(self, parcel: Parcel, **options: Any) -> Any:
            raise ScoringError("no worker is left")

    scorer = make_scorer(load_classifier("mnist-lenet"), batch=8)
    with ThreadPoolExecutor(1) as threads:
        scorer.elsewhere = Nobody(threads)
        with pytest.raises(ScoringError, match="no worker is left"):
            list(scorer.map([Portable()]))
    assert scorer.ledger.shown()["total"] == 0
    assert scorer.forward_images == 0
