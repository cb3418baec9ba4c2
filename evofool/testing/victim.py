"""A small victim on which attacks are tried, and a count of what a victim is really sent."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from evofool.classifiers import Classifier, from_module
from evofool.images import UInt8Images
from evofool.scoring import Scorer

SHAPE = (3, 8, 8)
CLASSES = 5
IMAGES = 6
_TRIED = 512


class Counter:
    """Images that went into a net; shared by all copies of the net."""

    def __init__(self) -> None:
        self.images = 0

    def __deepcopy__(self, memo: object) -> Counter:
        return self


def small_net() -> Classifier:
    """A smooth white box, five classes on 3 x 8 x 8 pictures, the same on every machine."""
    import torch
    from torch import nn

    rng = np.random.default_rng(1412)
    first, second = nn.Conv2d(3, 6, 3, bias=False), nn.Linear(6 * 6 * 6, CLASSES, bias=False)
    net = nn.Sequential(first, nn.Tanh(), nn.Flatten(), second)
    with torch.no_grad():
        for layer, scale in ((first, 0.5), (second, 0.3)):
            layer.weight.copy_(torch.from_numpy(rng.normal(0, scale, layer.weight.shape)))
    return from_module(net, input_shape=SHAPE, name="small net")


def boundary_images(victim: Classifier, seed: int) -> UInt8Images:
    """Noise pictures that the victim is least sure of: even a weak attack fools it on some.

    uint8, 6 x C x H x W, with room on both sides of every level.
    """
    rng = np.random.default_rng((20150608, seed))
    channels, height, width = victim.input_shape
    most = _TRIED if victim.predict is None and height * width <= 1024 else 4 * IMAGES
    images = rng.integers(64, 192, (most, channels, height, width), dtype=np.uint8)
    if victim.output == "label":
        return images[:IMAGES]
    with Scorer(victim, workers=1) as scorer:
        scores = scorer.score(images, keep_unscored=True)
    top = np.sort(scores.log_odds, axis=1)
    margin = np.where(scores.scored, top[:, -1] - top[:, -2], np.inf)
    return images[np.sort(np.argsort(margin, kind="stable")[:IMAGES])]


def counted(victim: Classifier, counter: Counter) -> Classifier:
    """`victim`, which counts the images that really go into it; of an ONNX graph as it is."""
    if victim.module is not None:
        return dataclasses.replace(victim, module=_counting(victim.module, counter))
    if victim.predict is None:
        return victim
    predict = victim.predict

    def counting(images: UInt8Images) -> Any:
        counter.images += len(images)
        return predict(images)

    return dataclasses.replace(victim, predict=counting, probed=0)


def _counting(module: Any, counter: Counter) -> Any:
    from torch import nn

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module
            self.counter = counter

        def forward(self, x: Any) -> Any:
            self.counter.images += len(x)
            return self.inner(x)

    return Counting().eval()
