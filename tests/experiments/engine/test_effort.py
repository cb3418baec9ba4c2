"""The time that is left, where nets of unlike size are asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module, from_predict
from evofool.classifiers.transformed import with_transforms
from evofool.config.transforms import TransformsConfig
from evofool.experiments.engine import Context, ExperimentProgress, Meter, Row, Work, outside, work
from evofool.experiments.engine.effort import Efforts
from evofool.experiments.works.nets import EnsembleNet, GivenNet, Net


@work
class Asking(Work):
    kind: ClassVar[str] = "asking"
    rows: ClassVar[tuple[type[Row], ...]] = ()

    images: int = outside()  # type: ignore[assignment]
    net: Net | None = None
    before: Work | None = None
    called: str = ""

    def run(self, context: Context) -> Iterator[Row]:
        yield from ()


def given(side: int) -> GivenNet:
    def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros((len(images), 3), np.float32)

    net: Classifier = from_predict(answer, input_shape=(1, side, side), labels=list("abc"))
    return GivenNet(str(side), net, {})


def test_an_image_counts_by_the_largest_net_it_is_shown_to() -> None:
    small, large = given(4), given(40)
    digits = Asking(100, small)
    photos = Asking(7, large)
    both = Asking(1, EnsembleNet((small, large), "min"))
    after = Asking(5, small, before=photos)
    training = Asking(1000, called="training")
    efforts = Efforts([digits, photos, both, after, training])
    assert efforts.an_image(digits) == 16
    assert efforts.of(photos) == 7 * 1600
    assert efforts.an_image(both) == 1600
    assert efforts.an_image(after) == 1600
    assert efforts.of(training) == 1000 * 16  # it names no net: as the smallest
    assert Efforts([training]).of(training) == 1000


def test_a_picture_counts_as_often_as_a_net_sees_it() -> None:
    @work
    class Turned(Asking):
        kind: ClassVar[str] = "asking-turned"
        transforms: TransformsConfig = TransformsConfig(k=8, rotation=(-9, 9))

    net = from_module(nn.Flatten(), input_shape=(1, 4, 4), labels=[str(n) for n in range(16)])
    behind = with_transforms(net, TransformsConfig(k=3, rotation=(-9, 9)))
    plain, inside = Turned(10, GivenNet("net", net, {})), Asking(10, GivenNet("b", behind, {}))
    efforts = Efforts([plain, inside])
    assert efforts.an_image(plain) == 16 * 8
    assert efforts.an_image(inside) == 16 * 3


def test_time_left_is_in_proportion_to_the_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    told: list[ExperimentProgress] = []
    meter = Meter(told.append, None, 0.0)
    meter.plan(3, 16 * 100 + 1600 * 10 + 1600 * 20)
    digits = meter.begin("digits", 100, 16)
    now[0] = 1.0
    digits.end()
    photos = meter.begin("photos", 10, 1600)
    assert told[-1].seconds_left == pytest.approx(30.0)
    now[0] = 6.0
    photos.reached(5)
    assert told[-1].seconds_left == pytest.approx(25.0)
    assert told[-1].share_done == pytest.approx(96 / 496)
    photos.end()
    meter.skip(1600 * 5)  # of the last work, as if an earlier process had done some of it
    meter.begin("more", 15, 1600)
    assert told[-1].seconds_left == pytest.approx(15 * 1600 * 6 / (1600 + 16000))
