"""A picture of every 16th class of ImageNet, for tests marked ``data``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from evofool.classifiers import Classifier, prepare
from evofool.images import UInt8Images

STEP = 16


def every_16th_class(data: Path, victim: Classifier) -> tuple[UInt8Images, NDArray[np.int64]]:
    """63 pictures as inputs of `victim`, uint8 N x C x H x W, and their classes, (63,)."""
    files = sorted((data / "imagenet1000" / "images").glob("*.jpg"))[::STEP]
    assert len(files) == 63
    images = np.stack([prepare(PIL.Image.open(file), victim) for file in files])
    return images, np.array([int(file.name[:4]) for file in files], np.int64)
