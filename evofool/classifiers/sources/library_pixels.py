"""Whether our preparation of a picture gives a net the pixels that its own library would give it.

A net that another library describes is prepared for by `evofool.classifiers.pictures`, as every
victim is. What the description says is therefore held against the library's own preparation, on two
pictures, whenever such a net is loaded: a rule that we have read wrongly is an error and no loss of
accuracy that nobody sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Resize
from evofool.classifiers.pictures import prepare
from evofool.images import Shape

LEVELS = 2.5
"""Levels of 255 by which no pixel may differ. Pillow and torchvision, which both stand behind these
libraries, round what they resize to levels that differ by one, seldom two. A cut that is one pixel
off differs by more."""

OwnPixels: TypeAlias = Callable[[PIL.Image.Image], NDArray[np.floating[Any]]]
"""The library's preparation: a picture of any size to C x H x W, normalised."""


def furthest(
    own: OwnPixels, shape: Shape, resize: Resize, mean: Sequence[float], std: Sequence[float]
) -> float:
    """The largest difference in levels of 255 between our pixels and those of `own`.

    Args:
        own: the library's preparation.
        shape: channels, height and width of the net's input.
        resize: ours, before (x - `mean`) / `std` for x on [0, 1].
        mean: one number, or one a channel.
        std: likewise.

    Returns:
        Infinite where the library's pixels have another shape.
    """
    victim = Classifier(name="", labels=(), input_shape=shape, digest="", resize=resize)
    centre, scale = (np.reshape(part, (-1, 1, 1)) for part in (mean, std))
    worst = 0.0
    for picture in _pictures(shape):
        theirs = np.asarray(own(picture), np.float64)
        if theirs.shape != tuple(shape):
            return float("inf")
        levels = (theirs * scale + centre) * 255
        worst = max(worst, float(np.abs(levels - prepare(picture, victim)).max()))
    return worst


def _pictures(shape: Shape) -> list[PIL.Image.Image]:
    """A wide and a high picture, larger and smaller than the input, the same every time.

    No colour is near black or white: there cubic filters overshoot, and libraries differ in when
    they cut that off.
    """
    channels, height, width = shape
    blocks = np.random.default_rng(0).integers(50, 206, (2, 9, 9, 3), dtype=np.uint8)
    sizes = ((int(1.37 * width) + 2, int(1.15 * height) + 1), (width * 4 // 5 + 1, height + 3))
    return [
        PIL.Image.fromarray(each)
        .resize(size, PIL.Image.Resampling.BICUBIC)
        .convert("L" if channels == 1 else "RGB")
        for each, size in zip(blocks, sizes, strict=True)
    ]
