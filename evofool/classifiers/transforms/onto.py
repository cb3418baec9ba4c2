"""The natural pictures that a picture is stuck onto, a different one under each transform."""

from __future__ import annotations

import hashlib

import numpy as np

from evofool.classifiers.base import Onto
from evofool.classifiers.transforms.drawing import Stage
from evofool.config.transforms import TransformsConfig
from evofool.data import inspect_dataset, load_dataset
from evofool.errors import ClassifierError, DataError
from evofool.images import Shape, UInt8Images
from evofool.randomness import Stream, generator


def load_onto(config: TransformsConfig, shape: Shape) -> Onto | None:
    """The pictures that a config names, in the random order of its seed; None if it names none.

    Brown et al. 2017, 1712.09665, equation 1, take the expectation of the log-probability of the
    target over pictures, places and transformations of a patch.

    Args:
        config: of the transforms.
        shape: channels, height, width of the net's input.

    Raises:
        ClassifierError: the data set is not here, or its pictures are of another size.
    """
    if config.onto is None:
        return None
    return Onto(
        _pictures(config, config.onto.split, shape, Stream.TRANSFORM, config.k),
        _pictures(config, config.onto.held_back, shape, Stream.HELD_BACK, config.held_back),
    )


def missing_pictures(config: TransformsConfig | None) -> str:
    """What is not on this machine of the pictures that a config names, and how to get it.

    Raises:
        ClassifierError: there is no such data set, or no such split.
    """
    if config is None or config.onto is None:
        return ""
    try:
        data = inspect_dataset(config.onto.dataset)
    except DataError as error:
        raise ClassifierError(f"classifier: transforms.onto: {error}") from error
    for split in (config.onto.split, config.onto.held_back):
        if split not in data.splits:
            raise ClassifierError(
                f"classifier: transforms.onto: {data.name} has no split {split!r}, only"
                f" {', '.join(data.splits)}"
            )
    return data.missing


def digest_of(pictures: UInt8Images) -> str:
    """Hex sha256 of the pictures, uint8 k x C x H x W."""
    content = np.ascontiguousarray(pictures).tobytes()
    return hashlib.sha256(f"{pictures.shape} ".encode() + content).hexdigest()


def _pictures(
    config: TransformsConfig, split: str, shape: Shape, stream: Stream, count: int
) -> UInt8Images:
    assert config.onto is not None
    try:
        data = load_dataset(config.onto.dataset, split)
    except DataError as error:
        raise ClassifierError(f"classifier: transforms.onto: {error}") from error
    if data.shape != shape:
        raise ClassifierError(
            f"classifier: transforms.onto: the pictures of {data.name} are"
            f" {' x '.join(map(str, data.shape))}, but the net takes {' x '.join(map(str, shape))};"
            " name a data set of that size"
        )
    order = generator(config.seed, stream, Stage.ONTO, 0).permutation(len(data))
    return data.images[order[: max(1, count)]]
