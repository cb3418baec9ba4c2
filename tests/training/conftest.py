"""A data set that is learnt in a second: bright left halves against bright right halves."""

from __future__ import annotations

import numpy as np
import pytest

from evofool.data import Dataset
from evofool.training import loop


def load_halves(name: str, split: str, _folder: object) -> Dataset:
    """96 grey pictures of 16 x 16."""
    rng = np.random.default_rng(0 if split == "train" else 1)
    labels = rng.integers(0, 2, 96)
    images = rng.integers(0, 100, (96, 1, 16, 16), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, :, 8 * label : 8 * label + 8] += 100
    return Dataset(name, split, images, labels.astype(np.int64), ("left", "right"))  # type: ignore[arg-type]


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the data set, in place of `load_dataset`."""
    monkeypatch.setattr(loop, "load_dataset", load_halves)
    return "halves"
