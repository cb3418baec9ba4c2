"""A sign as it is seen from further away, and from the side."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evofool.images import UInt8Images

CAMERA = 4.0
"""Distance of the camera from a board that is turned, in sides of the picture."""


def from_afar(pictures: UInt8Images, side: int) -> UInt8Images:
    """Pictures as a camera takes them that has `side` pixels for a side, at their own size again.

    Areas are averaged down and interpolated (bilinear) up. The detector that cuts the sign out of
    the camera's picture is taken to be perfect.

    Args:
        pictures: N x C x H x W.
        side: pixels of the shorter side.
    """
    height, width = pictures.shape[2:]
    share = side / min(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    down = cv2.INTER_AREA if share <= 1 else cv2.INTER_LINEAR
    up = cv2.INTER_LINEAR if share <= 1 else cv2.INTER_AREA
    return np.stack(
        [_rows(cv2.resize(cv2.resize(_hwc(p), size, interpolation=down), (width, height),
                          interpolation=up), p) for p in pictures]
    )  # fmt: skip


def at_angle(pictures: UInt8Images, degrees: float) -> UInt8Images:
    """Pictures whose board is turned about its upright axis, with the border repeated beyond it.

    Args:
        pictures: N x C x H x W.
        degrees: 0 faces the camera.
    """
    matrix = turned(pictures.shape[2], pictures.shape[3], degrees)
    height, width = pictures.shape[2:]
    return np.stack(
        [_rows(cv2.warpPerspective(_hwc(p), matrix, (width, height), flags=cv2.INTER_LINEAR,
                                   borderMode=cv2.BORDER_REPLICATE), p) for p in pictures]
    )  # fmt: skip


def turned(height: int, width: int, degrees: float) -> NDArray[np.float64]:
    """The homography of `at_angle`, float64 3 x 3, from pixels of the board to those of the view.

    A point (x, y) of the board, from its middle, is seen at (x cos a, y) D / (D + x sin a), where D
    is `CAMERA` sides away.
    """
    a, far = math.radians(degrees), CAMERA * max(height, width)
    tilt = np.array([[math.cos(a), 0, 0], [0, 1, 0], [math.sin(a) / far, 0, 1]])
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    matrix: NDArray[np.float64] = centre @ tilt @ np.linalg.inv(centre)
    return matrix


def _hwc(picture: UInt8Images) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def _rows(rows: Any, like: UInt8Images) -> UInt8Images:
    shaped = rows.reshape(*like.shape[1:], like.shape[0])
    return np.ascontiguousarray(shaped.transpose(2, 0, 1))
