"""The work of measuring the loss around pictures that all nets of a comparison get right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.gradient.losses import Goal
from evofool.classifiers import Classifier
from evofool.defenses.victims import adapted
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.answers import AnswerRow, Clean
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.randomness import Stream, generator
from evofool.scoring import Scorer

SIDE = 17
"""Points of a loss surface along each direction."""
LARGEST = 1e6
"""A loss that is infinite is stored as this, far beyond what a plot tells apart."""
SIGNS = 3
"""Key of the draws of orthogonal signs, among those of `Stream.CHOICE`."""


@dataclass(frozen=True)
class SurfaceRow(Row):
    """The loss around a picture, which `item` numbers.

    Attributes:
        loss: `SIDE` x `SIDE` numbers -log p of the picture's class, see `loss_surface`.
    """

    type: ClassVar[str] = "surface"

    loss: tuple[tuple[float, ...], ...]

    @property
    def values(self) -> NDArray[np.float64]:
        """The same as an array, float64 `SIDE` x `SIDE`."""
        return np.array(self.loss, np.float64)


@work
class LossSurfaces(Work):
    """The loss of a net around the first pictures that it and others get right.

    Attributes:
        net: that is asked, with the gradient that an attack sees which knows its defense.
        clean: answers of all nets to the clean pictures, the net's own among them.
        pictures: clean ones.
        eps: radius on each axis.
        most: pictures, at most.
        seed: of the orthogonal directions.
        scoring: how images are scored.
    """

    kind: ClassVar[str] = "surface"
    rows: ClassVar[tuple[type[Row], ...]] = (SurfaceRow,)

    net: Net
    clean: tuple[Clean, ...]
    pictures: Pictures
    eps: float
    most: int
    seed: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a point."""
        return self.most * (SIDE**2 + 2)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        rows = all_right([context.rows(clean, AnswerRow) for clean in self.clean], self.most)
        with context.scorer(adapted(net) or net, self.scoring) as scorer:
            for row in rows:
                image, label = self.pictures.images[row], int(self.pictures.labels[row])
                aside = partial(orthogonal_signs, seed=self.seed, row=row)
                loss = loss_surface(scorer, net, image, label, self.eps, aside)
                yield SurfaceRow(row, tuple(map(tuple, loss.tolist())))


def all_right(answers: Sequence[Sequence[AnswerRow]], most: int) -> list[int]:
    """The first pictures that every net calls their class, at most `most`; any if there are none.

    Args:
        answers: of each net, to the same pictures.
        most: how many.
    """
    right = [k for k, rows in enumerate(zip(*answers, strict=True))
             if all(row.predicted == row.label for row in rows)]  # fmt: skip
    return right[:most] or list(range(min(most, len(answers[0]))))


def loss_surface(
    scorer: Scorer,
    net: Classifier,
    image: UInt8Images,
    label: int,
    eps: float,
    aside_of: Callable[[FloatImages], FloatImages],
) -> NDArray[np.float64]:
    """-log p of the label around an image (Tramèr et al., ICLR 2018, figure 2).

    Args:
        scorer: of the net, as it is differentiated.
        net: the net.
        image: uint8 C x H x W.
        label: its class.
        eps: radius on each axis.
        aside_of: from the signs of the gradient, C x H x W, to those of another direction.

    Returns:
        float64 `SIDE` x `SIDE`: rows go along the other direction, columns along the signs of the
        gradient, both from -eps to eps.
    """
    images, labels = image[None], np.array([label], np.int64)
    steps = np.linspace(-eps, eps, SIDE)
    goal = Goal(net, labels, np.full(1, -1, np.int64))
    uphill = np.sign(scorer.gradients(images, goal.cross_entropy).values[0])
    aside = aside_of(uphill)
    along, across = np.meshgrid(steps, steps)
    points = np.clip(
        to_float(images)
        + along.reshape(-1, 1, 1, 1) * uphill
        + across.reshape(-1, 1, 1, 1) * aside,
        0,
        1,
    ).astype(np.float32)
    odds = scorer.score(points).log_odds[:, label]
    loss = np.minimum(np.logaddexp(0.0, -odds), LARGEST)
    return loss.reshape(SIDE, SIDE)


def orthogonal_signs(signs: FloatImages, seed: int, row: int) -> FloatImages:
    """Random signs that agree with `signs` as often as not, where these are not 0.

    Args:
        signs: float32 C x H x W of -1, 0 and 1.
        seed: of the draw.
        row: number of the picture, which has a draw of its own.

    Returns:
        float32 C x H x W.
    """
    rng = generator(seed, Stream.CHOICE, SIGNS, row)
    drawn = rng.choice(np.array([-1.0, 1.0], np.float32), signs.shape).reshape(-1)
    flat = signs.reshape(-1)
    places = rng.permutation(np.flatnonzero(flat))
    half = len(places) // 2
    drawn[places[:half]] = flat[places[:half]]
    drawn[places[half : 2 * half]] = -flat[places[half : 2 * half]]
    if len(places) % 2:  # the odd one out belongs to neither
        drawn[places[-1]] = 0
    return drawn.reshape(signs.shape)
