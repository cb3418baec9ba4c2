"""What is read on a sign: counted, judged by its aim, and summed up by distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evofool.attacks.runs.statistics import wilson
from evofool.classifiers import from_predict
from evofool.errors import BudgetError, UsageError
from evofool.signs import shown
from evofool.signs.camera import Camera
from evofool.signs.drive import Aim, as_input, by_distance, drive
from evofool.signs.footage import Approach, Footage
from evofool.signs.plates import make_sign

CAMERA = Camera(320, 180, 300.0)
COLOURS = ("red", "green", "blue")


def colours(images: np.ndarray) -> np.ndarray:
    """Which of the three colours a picture has most of."""
    means = images.reshape(len(images), 3, -1).mean(2)
    return np.exp(means / 32) / np.exp(means / 32).sum(1, keepdims=True)


@pytest.fixture
def victim() -> Any:
    return from_predict(
        colours, labels=COLOURS, input_shape=(3, 8, 8), output="probs", name="colours"
    )


def red(**changes: Any) -> Footage:
    picture = np.stack([np.full((8, 8), level, np.uint8) for level in (250, 10, 10)])
    approach = Approach(**{"frames": 12, "far": 30.0, **changes})
    return Footage(make_sign(picture, name="red"), approach, 0, CAMERA)


def test_a_red_sign_is_read_as_red_from_everywhere(
    victim: Any, make_scorer: Callable[..., Any]
) -> None:
    scorer = make_scorer(victim)
    one = drive(scorer, red(), Aim(target=0))
    assert one.fooled == scorer.queries == len(one.sights) == 12
    assert [sight.distance for sight in one.sights] == sorted(
        (sight.distance for sight in one.sights), reverse=True
    )
    assert all(s.read == 0 and s.confidence == s.aimed for s in one.sights)
    widths = [sight.pixels[0] for sight in one.sights]
    assert widths[0] == pytest.approx(6, abs=2)
    assert widths[-1] > 3 * widths[0]


def test_what_fools_depends_on_the_aim(victim: Any, make_scorer: Callable[..., Any]) -> None:
    scorer = make_scorer(victim)
    assert drive(scorer, red(), Aim(target=1)).fooled == 0
    assert drive(scorer, red(), Aim(true=0)).fooled == 0
    away = drive(scorer, red(), Aim(true=2))
    assert away.fooled == 12
    assert away.sights[0].aimed is not None
    assert away.sights[0].aimed > 0.5
    with pytest.raises(UsageError, match="--target"):
        Aim()
    with pytest.raises(UsageError, match="no class 3"):
        drive(scorer, red(), Aim(target=3))


def test_a_budget_that_does_not_cover_it_is_not_touched(
    victim: Any, make_scorer: Callable[..., Any]
) -> None:
    scorer = make_scorer(victim, budget=11)
    with pytest.raises(BudgetError):
        drive(scorer, red(), Aim(target=0))
    assert scorer.queries == 0


def test_a_victim_of_labels_alone(make_scorer: Callable[..., Any]) -> None:
    labels = from_predict(
        lambda images: colours(images).argmax(1),
        labels=COLOURS,
        input_shape=(3, 8, 8),
        output="label",
        name="labels",
    )
    one = drive(make_scorer(labels), red(), Aim(target=0))
    assert one.fooled == 12
    assert one.sights[0].confidence is None
    assert shown.table([one], labels).count(b"red") == 24
    assert shown.strip([one], labels, 3)[:4] == b"\x89PNG"


def test_shares_by_distance_add_up(victim: Any, make_scorer: Callable[..., Any]) -> None:
    one = drive(make_scorer(victim), red(frames=23), Aim(target=0))
    shares = by_distance([one, one])
    assert sum(each.frames for each in shares) == 46
    assert len(shares) == 5
    assert shares[0].far == 30.0
    assert shares[-1].near == 6.0
    for each in shares:
        assert (each.low, each.high) == wilson(each.fooled, each.frames)
    assert [
        each.frames for each in by_distance([drive(make_scorer(victim), red(frames=1), Aim(0))])
    ] == [1]


def test_crops_become_inputs() -> None:
    victim = from_predict(
        colours, labels=COLOURS, input_shape=(3, 4, 4), output="probs", name="colours"
    )
    crop = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    means = crop.reshape(4, 2, 4, 2, 3).mean((1, 3))
    assert np.abs(as_input(crop, victim).transpose(1, 2, 0) - means).max() <= 1
    assert as_input(crop[:1, :2], victim).shape == (3, 4, 4)


def test_a_film_shows_every_frame(victim: Any, make_scorer: Callable[..., Any]) -> None:
    one = drive(make_scorer(victim), red(frames=3), Aim(target=0))
    page = shown.annotated(one, one.sights[-1], victim)
    assert page.shape == (360, 640, 3)
    assert (page == shown._YES).all(2).any()
    assert (shown.annotated(drive(make_scorer(victim), red(frames=3), Aim(target=1)), one.sights[0],
            victim) != page).any()  # fmt: skip
    film = shown.video(one, victim)
    assert film.form in ("webm", "mp4", "webp")
    assert len(film.data) > 1000
