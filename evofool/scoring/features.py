"""Features of pictures, from the penultimate layer of a net."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evofool.classifiers import Classifier
from evofool.scoring.scorer import Scorer


def features(
    classifier: Classifier,
    images: ArrayLike,
    *,
    engine: str = "auto",
    device: str = "auto",
    batch: int = 64,
    workers: int | None = None,
) -> NDArray[np.float32]:
    """The features that a net's last layer decides from, n x d float32; one pass per picture.

    >>> values = features(evofool.load_classifier("mnist-lenet"), images)         # n x 500

    To see the counts, or to keep a scorer for several calls, make the same by hand:
    ``Scorer(penultimate(classifier)).logits(images)``, with `penultimate` from
    `evofool.classifiers.nets.penultimate`.

    Args:
        classifier: a net with gradients.
        images: N x C x H x W of its input shape, uint8, or floating on [0, 1].
        engine: as `Scorer`.
        device: as `Scorer`.
        batch: as `Scorer`.
        workers: as `Scorer`.

    Raises:
        ClassifierError: the net has no penultimate layer: see `penultimate`.
        ImageError, ScoringError: as `Scorer.score`.
    """
    from evofool.classifiers.nets.penultimate import penultimate

    net = penultimate(classifier)
    with Scorer(net, engine=engine, device=device, batch=batch, workers=workers) as scorer:
        return scorer.logits(images).astype(np.float32, copy=False)
