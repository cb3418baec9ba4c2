"""The work of scoring pure noise with a net: how often does it claim to see a class?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from evofool.attacks.query.noise import noise_images
from evofool.classifiers import Classifier, from_module
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import Net
from evofool.images import FloatImages
from evofool.randomness import Stream, generator

REACH = 8.0
"""Deviations up to which noise is drawn as floats: one number in 10^15 lies beyond."""


@dataclass(frozen=True)
class ClaimRow(Row):
    """The answer of a net to one draw of noise.

    Attributes:
        predicted: the class that it finds likeliest.
        confidence: in that.
    """

    type: ClassVar[str] = "claim"

    predicted: int
    confidence: float


@work
class NoiseAnswers(Work):
    """Draws of N(0, I), scored by a net (Goodfellow et al., ICLR 2015, section 7).

    Attributes:
        net: that is asked.
        form: ``floats``, as they are drawn; or ``pictures``, cut to [0, 1] and 8 bits.
        count: how many.
        seed: of the draws.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "noise"
    rows: ClassVar[tuple[type[Row], ...]] = (ClaimRow,)

    net: Net
    form: Literal["floats", "pictures"]
    count: int
    seed: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a draw."""
        return self.count

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        shape = net.input_shape
        if self.form == "floats":
            shown, noise = noise_net(net), float_noise(shape, self.count, self.seed)
        else:
            shown, noise = net, noise_images("normal", shape, self.count, self.seed)  # type: ignore[assignment]
        with context.scorer(shown, self.scoring) as scorer:
            confidence = scorer.confidence(noise)
        for k, row in enumerate(confidence):
            yield ClaimRow(k, int(row.argmax()), float(row.max()))


def noise_net(net: Classifier) -> Classifier:
    """`net` for noise as floats: an input x on [0, 1] stands for `REACH` (2 x - 1).

    So draws of N(0, I), most of which no picture can hold, go through a Scorer like all else.
    """
    assert net.module is not None
    return from_module(
        net.module,
        input_shape=net.input_shape,
        name=net.name,
        labels=net.labels,
        output=net.output,
        link=net.link,
        mean=[0.5],
        std=[0.5 / REACH],
    )


def float_noise(shape: tuple[int, int, int], n: int, seed: int) -> FloatImages:
    """`n` draws of N(0, I) as `noise_net` takes them, float32 n x C x H x W on [0, 1].

    They are the draws that `evofool.attacks.query.noise` cuts off.
    """
    images = np.empty((n, *shape), np.float32)
    for index in range(n):
        draws = generator(seed, Stream.NOISE, index, 0).standard_normal(shape, dtype=np.float32)
        images[index] = np.clip(draws / (2 * REACH) + 0.5, 0, 1)
    return images
