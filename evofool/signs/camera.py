"""Where a camera on a car sees a sign beside the road: a pinhole, and a plane in space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from evofool.errors import UsageError
from evofool.signs.plates import Points, Sign

Matrix: TypeAlias = NDArray[np.float64]
"""(3, 3) float64: of a homography."""

Window: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of a frame, in whole pixels."""


@dataclass(frozen=True)
class Camera:
    """A pinhole that looks along the road.

    Attributes:
        width: of a frame, in pixels.
        height: of a frame, in pixels.
        focal: distance of the pinhole, in pixels: what is 1 m wide at z m has `focal` / z of them.
        above: the road, in metres.
    """

    width: int = 960
    height: int = 540
    focal: float = 900.0
    above: float = 1.4

    @property
    def horizon(self) -> float:
        """Row of the horizon."""
        return 0.55 * self.height

    def project(self, points: NDArray[np.float64]) -> Points:
        """Where points are seen.

        Args:
            points: N x 3 float64 in metres: to the right, above the road, ahead (more than 0).

        Returns:
            N x 2 float64, x and y of the frame in pixels, from its left upper corner on.
        """
        x = self.width / 2 + self.focal * points[:, 0] / points[:, 2]
        y = self.horizon - self.focal * (points[:, 1] - self.above) / points[:, 2]
        return np.stack([x, y], 1)


@dataclass(frozen=True)
class Stand:
    """A sign on its pole, as it is placed.

    Attributes:
        right: of the camera's path, metres to the sign's centre.
        up: above the road, metres to the sign's centre.
        side: of the sign, the longer one, in metres.
    """

    right: float = 2.4
    up: float = 2.2
    side: float = 0.6

    def corners(self, sign: Sign, distance: float, turned: float) -> NDArray[np.float64]:
        """The corners of the sign's picture in space: left upper one first, then clockwise.

        Args:
            sign: that stands there.
            distance: ahead of the camera, in metres.
            turned: degrees about its pole, away from the road where it is above 0.

        Returns:
            4 x 3 float64, in metres, as `Camera.project` takes them.
        """
        height, width = sign.opacity.shape
        half_w, half_h = (0.5 * self.side * n / max(height, width) for n in (width, height))
        angle = np.deg2rad(turned)
        across = np.array([np.cos(angle), 0.0, np.sin(angle)])
        upward = np.array([0.0, 1.0, 0.0])
        centre = np.array([self.right, self.up, distance])
        return np.stack(
            [
                centre + x * half_w * across + y * half_h * upward
                for x, y in ((-1, 1), (1, 1), (1, -1), (-1, -1))
            ]
        )

    def seen_from(self, camera: Camera, distance: float, turned: float) -> float:
        """The angle between the sign's normal and the line to the camera, about the pole.

        It is in degrees, and above 0 where the camera stands on the left of the sign's normal, as
        whoever reads the sign sees it.
        """
        return float(turned + np.rad2deg(np.arctan2(self.right, distance)))


@dataclass(frozen=True)
class Place:
    """A sign in a frame.

    Attributes:
        corners: 4 x 2, of its picture, in pixels from the frame's left upper corner on.
        matrix: 3 x 3, from its picture's pixels to the frame's, centres of pixels at whole numbers.
        box: left, top, right and bottom of what is solid of it, in pixels.
    """

    corners: Points
    matrix: Matrix
    box: tuple[float, float, float, float]


def place(sign: Sign, camera: Camera, stand: Stand, distance: float, turned: float) -> Place:
    """Where the sign is seen, by the homography of its four corners.

    Raises:
        UsageError: less than a pixel of it is seen, or it reaches out of the frame; the message
            says what to change.
    """
    if distance <= stand.side:
        raise UsageError(f"a sign {distance:g} m ahead cannot be seen whole; stay farther away")
    corners = camera.project(stand.corners(sign, distance, turned))
    height, width = sign.opacity.shape
    own = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    matrix = cv2.getPerspectiveTransform(
        (own - 0.5).astype(np.float32), (corners - 0.5).astype(np.float32)
    )
    left, top, right, bottom = sign.box
    solid = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) * (width, height)
    seen = cv2.perspectiveTransform((solid - 0.5)[None], matrix)[0] + 0.5
    low, high = seen.min(0), seen.max(0)
    if np.min(high - low) < 1:
        raise UsageError(
            f"at {distance:g} m, turned by {turned:g} degrees, less than a pixel of the sign is"
            " left; start nearer, turn it less, or make it larger"
        )
    if low.min() < 0 or high[0] > camera.width or high[1] > camera.height:
        raise UsageError(
            f"at {distance:g} m the sign reaches out of the camera's frame; stop farther away, or"
            " make it smaller"
        )
    return Place(corners, np.asarray(matrix, np.float64), (*low.tolist(), *high.tolist()))
