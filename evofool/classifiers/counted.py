"""A predict function that counts the pictures it is sent, for those who may pay by the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Predict
from evofool.images import UInt8Images


class Counted:
    """`predict`, and how many pictures it has been sent."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self.pictures = 0

    def __call__(self, images: UInt8Images) -> NDArray[np.generic]:
        self.pictures += len(images)  # whoever fails was asked all the same
        return self._predict(images)
