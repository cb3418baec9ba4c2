"""Frames of a drive: where the sign is, that parts are parts, and that seeds decide."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from evofool.errors import UsageError
from evofool.signs.camera import Camera, Stand
from evofool.signs.footage import Approach, Footage
from evofool.signs.plates import make_sign
from evofool.signs.scene import street

CAMERA = Camera(320, 180, 300.0)
RED = make_sign(np.stack([np.full((16, 16), level, np.uint8) for level in (250, 10, 10)]))


def footage(number: int = 0, **changes: object) -> Footage:
    approach = Approach(**{"frames": 10, "far": 30.0, "near": 6.0, **changes})  # type: ignore[arg-type]
    return Footage(RED, approach, number, CAMERA)


def test_a_sign_is_as_large_as_its_distance_makes_it() -> None:
    film = footage(turned=0)
    for frame, distance in ((0, 30.0), (9, 6.0)):
        left, top, right, bottom = film.place(frame).box
        assert right - left == pytest.approx(CAMERA.focal * 0.6 / distance, rel=1e-3)
        assert bottom - top == pytest.approx(right - left, rel=1e-3)
        middle = CAMERA.width / 2 + CAMERA.focal * Stand().right / distance
        assert (left + right) / 2 == pytest.approx(middle, abs=0.01)


def test_a_turned_sign_is_seen_from_the_side() -> None:
    film = footage(turned=40)
    assert film.angle_seen(0) == pytest.approx(np.rad2deg(np.arctan2(2.4, 30)))
    assert film.angle_seen(9) == pytest.approx(40 + np.rad2deg(np.arctan2(2.4, 6)))
    corners = film.place(9).corners
    left, right = corners[3, 1] - corners[0, 1], corners[2, 1] - corners[1, 1]
    assert left > right > 0  # its right edge is farther away
    assert corners[1, 0] - corners[0, 0] < left


def test_the_sign_is_drawn_where_opencv_would_warp_it() -> None:
    """Far finer pictures of a checkerboard agree with `warpPerspective` and a mean of pixels."""
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (3, 8, 8), np.uint8)
    film = Footage(make_sign(picture), Approach(10, 30, 6, 35, light=0, shutter=0, noise=0))
    frame = film.frame(9)
    place = film.place(9)
    left, top, right, bottom = (round(side) for side in place.box)
    fine = 16
    up = np.array([(fine, 0, fine / 2 - 0.5), (0, fine, fine / 2 - 0.5), (0, 0, 1)])
    shift = np.array([(1, 0, -left), (0, 1, -top), (0, 0, 1.0)])
    size = ((right - left) * fine, (bottom - top) * fine)
    rows = np.ascontiguousarray(film.sign.picture.transpose(1, 2, 0))
    warped = cv2.warpPerspective(rows, up @ shift @ place.matrix, size, flags=cv2.INTER_NEAREST)
    expected = cv2.resize(warped, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    air = np.exp(-6 / 260)
    inner = slice(8, -8)
    seen = frame[top:bottom, left:right][inner, inner] / 255
    sky = np.array(street(1).sky[1]) / 255
    np.testing.assert_allclose(
        seen, air * expected[inner, inner] + (1 - air) * sky, atol=0.15
    )  # edges of pixels
    assert np.abs(seen - air * expected[inner, inner] - (1 - air) * sky).mean() < 0.005


@pytest.mark.parametrize("frame", [0, 4, 9])
def test_a_part_of_a_frame_is_a_part_of_the_frame(frame: int) -> None:
    film = footage(seed=3)
    whole = film.frame(frame)
    crop, (left, top, right, bottom) = film.crop(frame)
    np.testing.assert_array_equal(crop, whole[top:bottom, left:right])
    for left, top, right, bottom in ((0, 0, 40, 90), (280, 100, 320, 180), (150, 60, 230, 120)):
        np.testing.assert_array_equal(
            film.part(frame, (left, top, right, bottom)), whole[top:bottom, left:right]
        )


def test_frames_are_made_by_seed_and_number_alone() -> None:
    first = footage().frame(5)
    np.testing.assert_array_equal(first, footage().frame(5))
    assert (first != footage(seed=2).frame(5)).mean() > 0.5
    assert (first != footage(number=1).frame(5)).mean() > 0.5
    again = footage()
    again.frame(2)  # no history
    np.testing.assert_array_equal(first, again.frame(5))


def test_the_detector_jitters_as_much_as_it_says() -> None:
    film = footage(jitter=0.2, frames=200, far=8.0)
    for frame in range(0, 200, 7):
        box, seen = np.array(film.detected(frame)), np.array(film.place(frame).box)
        side = (seen[2:] - seen[:2]).max()
        assert np.abs(box - seen).max() <= 0.3 * side + 1
    exact = footage(jitter=0)
    assert np.abs(np.array(exact.detected(9)) - exact.place(9).box).max() <= 0.5
    wide = footage(jitter=0, margin=0.2).detected(9)
    seen = exact.place(9).box
    assert wide[2] - wide[0] == pytest.approx(1.4 * (seen[2] - seen[0]), abs=1)


def test_noise_blur_and_light_can_be_left_out() -> None:
    still = footage(noise=0, shutter=0, light=0, jitter=0)
    crop = still.crop(9)[0][4:-4, 4:-4]
    assert np.ptp(crop, axis=(0, 1)).max() <= 1
    assert np.ptp(footage(shutter=0, light=0).crop(9)[0][4:-4, 4:-4], axis=(0, 1)).min() > 3
    bright = footage(noise=0, shutter=0, light=0.9, jitter=0).crop(9)[0][4:-4, 4:-4]
    assert abs(bright.mean() - crop.mean()) > 1


def test_blur_smears_along_the_way_of_the_sign() -> None:
    sharp = footage(noise=0, shutter=0, light=0).frame(9).astype(int)
    smeared = footage(noise=0, shutter=1, light=0).frame(9).astype(int)
    edges = [np.abs(np.diff(frame, axis=1)).max() for frame in (sharp, smeared)]
    assert edges[1] < edges[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 0}, "at least one frame"),
        ({"frames": 10**9}, "at most"),
        ({"near": 50.0}, "must end nearer than it begins"),
        ({"far": float("nan")}, "far of a drive"),
        ({"turned": 90.0}, "turned of a drive"),
        ({"jitter": -0.1}, "jitter"),
        ({"seed": -1}, "seed"),
    ],
)
def test_no_such_drive(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        footage(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"far": 900.0}, "less than a pixel"),
        ({"side": 0.02}, "less than a pixel"),
        ({"near": 2.0}, "reaches out of the camera's frame"),
        ({"near": 0.3}, "cannot be seen whole"),
    ],
)
def test_no_sign_in_the_frame(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        footage(**changes).check()


def test_a_single_frame() -> None:
    film = footage(frames=1)
    assert film.approach.distance(0) == 30.0
    assert film.frame(0).shape == (180, 320, 3)
