"""What is to be seen of a defense: first layers, loss surfaces, pictures before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import PGD
from evofool.attacks.losses import Goal
from evofool.classifiers import Classifier
from evofool.defenses.victims import adapted
from evofool.experiments.threats import Ground, Strength
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.randomness import Stream, generator
from evofool.scoring import Scorer

if TYPE_CHECKING:
    from torch import nn

SIDE = 17
"""Points of a loss surface along each direction."""
MOST_FILTERS = 64

MakeScorer = Callable[[Classifier], Scorer]


@dataclass(frozen=True)
class Shown:
    """One picture, attacked on each net in turn.

    Attributes:
        index: of the image among those that were attacked.
        label: its class.
        clean: C x H x W uint8.
        attacked: by net: the picture of the attack that knows the defense.
        answers: by net: what that net calls that picture.
        confidences: by net: how sure it is of that.
    """

    index: int
    label: int
    clean: UInt8Images
    attacked: Mapping[str, UInt8Images]
    answers: Mapping[str, int]
    confidences: Mapping[str, float]


def chosen(
    nets: Mapping[str, Classifier], ground: Ground, most: int, make: MakeScorer
) -> list[int]:
    """The first images that every net gets right, at most `most`; any if there are none."""
    right = np.ones(len(ground.images), np.bool_)
    for net in nets.values():
        with make(net) as scorer:
            right &= scorer.labels(ground.images) == ground.labels
    found: list[int] = np.flatnonzero(right)[:most].tolist()
    return found or list(range(min(most, len(right))))


def examples(
    nets: Mapping[str, Classifier],
    ground: Ground,
    strength: Strength,
    rows: list[int],
    make: MakeScorer,
) -> list[Shown]:
    """`rows` of the images under the matrix's adaptive attack on each net."""
    s = strength
    attack = PGD(
        eps=s.eps,
        step_size=s.step_size,
        steps=s.steps,
        restarts=s.restarts,
        random_start=True,
        loss="margin",
        seed=s.seed,
    )
    images, labels = ground.images[rows], ground.labels[rows]
    results = {}
    for name, net in nets.items():
        with make(adapted(net) or net) as scorer:
            results[name] = attack(scorer, images, labels, ids=np.array(rows, np.int64))
    return [
        Shown(
            row,
            int(labels[k]),
            images[k],
            {name: result.pixels[k] for name, result in results.items()},
            {name: int(result.predicted[k]) for name, result in results.items()},
            {name: float(result.confidence[k]) for name, result in results.items()},
        )
        for k, row in enumerate(rows)
    ]


def loss_surface(
    net: Classifier, ground: Ground, row: int, eps: float, seed: int, make: MakeScorer
) -> NDArray[np.float64]:
    """-log p of the label around an image (Tramèr et al., ICLR 2018, figure 2).

    Returns `SIDE` x `SIDE` numbers: rows go along random signs that are orthogonal to the
    gradient's, columns along the signs of the gradient, both from -eps to eps. The gradient is
    the one that an attack sees which knows the defense.
    """
    image, labels = ground.images[row : row + 1], ground.labels[row : row + 1]
    steps = np.linspace(-eps, eps, SIDE)
    with make(adapted(net) or net) as scorer:
        goal = Goal(net, labels, np.full(1, -1, np.int64))
        uphill = np.sign(scorer.gradients(image, goal.cross_entropy).values[0])
        aside = orthogonal_signs(uphill, seed, row)
        along, across = np.meshgrid(steps, steps)
        points = np.clip(
            to_float(image)
            + along.reshape(-1, 1, 1, 1) * uphill
            + across.reshape(-1, 1, 1, 1) * aside,
            0,
            1,
        ).astype(np.float32)
        odds = scorer.score(points).log_odds[:, labels[0]]
    return np.logaddexp(0.0, -odds).reshape(SIDE, SIDE)


def orthogonal_signs(signs: FloatImages, seed: int, row: int) -> FloatImages:
    """Random signs that agree with `signs` as often as not, where these are not 0."""
    rng = generator(seed, Stream.CHOICE, 2, row)
    found = rng.choice(np.array([-1.0, 1.0], np.float32), signs.shape).reshape(-1)
    flat = signs.reshape(-1)
    places = rng.permutation(np.flatnonzero(flat))
    half = len(places) // 2
    found[places[:half]] = flat[places[:half]]
    found[places[half : 2 * half]] = -flat[places[half : 2 * half]]
    if len(places) % 2:  # the odd one out belongs to neither
        found[places[-1]] = 0
    return found.reshape(signs.shape)


def first_filters(net: Classifier) -> NDArray[np.float32] | None:
    """The weights of the first layer, at most 64 filters x C x h x w.

    None where it is neither a convolution of the image nor fully connected to its pixels.
    """
    from torch import nn

    assert net.module is not None
    channels, height, width = net.input_shape
    layer = next((m for m in net.module.modules() if isinstance(m, nn.Conv2d | nn.Linear)), None)
    if isinstance(layer, nn.Conv2d) and layer.in_channels == channels:
        return _numbers(layer)
    if isinstance(layer, nn.Linear) and layer.in_features == channels * height * width:
        return _numbers(layer).reshape(-1, channels, height, width)
    return None


def _numbers(layer: nn.Conv2d | nn.Linear) -> NDArray[np.float32]:
    found: NDArray[np.float32] = layer.weight.detach()[:MOST_FILTERS].cpu().float().numpy()
    return found
