"""Where a sign's board lies in a picture of it: the part that an attack on signs may paint."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from evofool.errors import UsageError
from evofool.images import Shape

SignShape: TypeAlias = Literal["whole", "disc", "octagon", "triangle", "yield", "diamond"]
SHAPES: tuple[str, ...] = get_args(SignShape)
RADIUS = 0.46
"""Of a board, in sides of the picture: data sets of signs leave a margin around them."""
_FINE = 8
"""Points a pixel and side that tell whether its middle half lies on the board."""
_CORNERS = {"octagon": (8, 22.5), "triangle": (3, -90.0), "yield": (3, 90.0), "diamond": (4, 0.0)}
"""Number of corners, and the angle of the first in degrees, clockwise from the right."""


def sign_mask(shape: SignShape, size: Shape) -> NDArray[np.bool_]:
    """Which pixels of a picture belong to the board of a sign, H x W.

    Args:
        shape: of the board; ``whole`` is the picture.
        size: channels, height, width of the picture.

    Raises:
        UsageError: the picture is so small that no pixel, or every pixel, would belong to it.
    """
    height, width = size[1:]
    if shape == "whole":
        return np.ones((height, width), np.bool_)
    middle = np.array([width, height]) * _FINE / 2
    fine = np.zeros((height * _FINE, width * _FINE), np.uint8)
    radius = RADIUS * min(height, width) * _FINE
    if shape == "disc":
        cv2.circle(fine, (int(middle[0]), int(middle[1])), round(radius), 255, -1)
    else:
        count, first = _CORNERS[shape]
        angles = np.radians(first + np.arange(count) * 360 / count)
        corners = np.stack([np.cos(angles), np.sin(angles)], 1)
        if count == 3:  # as wide as a disc, and its box in the middle
            corners *= 2 / np.sqrt(3)
            corners[:, 1] -= (corners[:, 1].min() + corners[:, 1].max()) / 2
        corners = middle + radius * corners
        cv2.fillPoly(fine, [np.rint(corners).astype(np.int32)], 255)
    covered = fine.reshape(height, _FINE, width, _FINE).mean(axis=(1, 3))
    mask: NDArray[np.bool_] = covered >= 255 / 2
    if not mask.any() or mask.all():
        raise UsageError(
            f"sign: a {shape} board has no outline in a picture of {height} x {width} pixels;"
            " set sign: whole"
        )
    return mask
