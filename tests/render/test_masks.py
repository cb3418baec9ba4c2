"""Masks: which pixels they hold, at any size, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evofool.images import encode_png
from evofool.render.masks import Mask, bounds

SHAPES = ("disc", "square", "triangle", "octagon", "ring", "rectangle")


def of(shape: str, **options: Any) -> Mask:
    size = (0.8, 0.4) if shape == "rectangle" else 0.8
    return Mask.model_validate({"shape": shape, "size": size, **options})


@pytest.mark.parametrize(
    ("mask", "share"),
    [
        (of("disc"), np.pi * 0.16),
        (of("square"), 0.64),
        (of("triangle"), 0.32),
        (of("octagon"), 0.64 * 2 * (np.sqrt(2) - 1)),
        (of("ring", inner=0.5), np.pi * 0.16 * 0.75),
        (of("rectangle", turn=30), 0.32),
        (of("square", inverted=True), 0.36),
        (Mask(polygon=((0, 0), (1, 0), (0, 1))), 0.5),
    ],
)
def test_shapes_cover_their_areas(mask: Mask, share: float) -> None:
    assert mask.raster((200, 200)).mean() == pytest.approx(share, abs=0.01)


def test_shapes_are_not_stretched_and_lie_where_they_are_put() -> None:
    inside = Mask(shape="disc", at=(0.25, 0.5), size=0.5).raster((40, 80))
    rows, columns = bounds(inside)
    assert (rows, columns) == (slice(10, 30), slice(10, 30))


@given(
    shape=st.sampled_from(SHAPES),
    turn=st.floats(-180, 180),
    at=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
)
def test_a_mask_is_the_same_place_at_any_size(
    shape: str, turn: float, at: tuple[float, float]
) -> None:
    mask = of(shape, turn=turn, at=at)
    small, large = mask.raster((16, 16)), mask.raster((48, 48))
    # the middle of every third pixel of the large one is the centre of one of the small one
    np.testing.assert_array_equal(large[1::3, 1::3], small)


def test_a_quarter_turn_clockwise() -> None:
    upright = Mask(shape="triangle", size=0.8).raster((50, 50))
    turned = Mask(shape="triangle", size=0.8, turn=90).raster((50, 50))
    # equal but for centres that lie on an edge, where rounding decides
    assert (turned != np.rot90(upright, -1)).mean() < 0.02
    assert turned[25, 40]  # its point is to the right
    assert turned[10, 8]
    assert not turned[10, 40]


def test_the_even_odd_rule() -> None:
    star = Mask(polygon=((0.5, 0), (0.8, 1), (0, 0.4), (1, 0.4), (0.2, 1)))
    inside = star.raster((100, 100))
    assert not inside[55, 50]  # the middle of the star is crossed twice
    assert inside[20, 50]


def test_a_picture_is_light_where_it_may_be_painted(tmp_path: Path) -> None:
    drawn = np.zeros((1, 8, 8), np.uint8)
    drawn[:, 2:6, 4:] = 200
    path = tmp_path / "mask.png"
    path.write_bytes(encode_png(drawn))
    mask = Mask(picture=str(path)).pinned()
    mask.check((8, 8))
    mask.check((4, 4))  # a whole multiple of it
    np.testing.assert_array_equal(mask.raster((8, 8)), drawn[0] > 0)
    assert mask.raster((4, 4)).sum() == 4
    with pytest.raises(ValueError, match=r"is 8 x 8, but the victim takes 6 x 6; give it"):
        mask.check((6, 6))
    assert mask.identity() == {"picture": None, "sha256": mask.sha256}
    path.write_bytes(encode_png(255 - drawn))
    with pytest.raises(ValueError, match="does not have the sha256 that is given"):
        mask.pinned()


def test_what_is_of_no_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no pixel of 8 x 8.*larger"):
        Mask(shape="disc", at=(0, 0), size=0.02).check((8, 8))
    with pytest.raises(ValueError, match="holds every pixel of 8 x 8: leave it out"):
        Mask(shape="square", size=1).check((8, 8))
    with pytest.raises(ValueError, match="cannot be read"):
        Mask(picture=str(tmp_path / "nothing.png")).pinned()
    hostile = tmp_path / "hostile.png"
    hostile.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        Mask(picture=str(hostile)).check((8, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of shape, polygon and picture, not none"),
        ({"shape": "disc", "picture": "a.png"}, "not shape and picture"),
        ({"polygon": [[0, 0], [1, 1]]}, "at least 3"),
        ({"polygon": [[0, 0], [1.5, 0], [0, 1]]}, r"\[1.5, 0\] lies outside.*0 to 1"),
        ({"polygon": [[0, 0], [1, 0], [0, 1]], "turn": 5}, "turn belongs to a shape"),
        ({"shape": "disc", "size": [0.2, 0.3]}, r"\[width, height\] of a rectangle"),
        ({"shape": "rectangle", "size": 0.3}, r"\[width, height\] of a rectangle"),
        ({"shape": "disc", "inner": 0.3}, "hole of a ring"),
        ({"shape": "disc", "sha256": "0" * 64}, "sha256 belongs to a picture"),
        ({"shape": "blob"}, "'disc', 'square'"),
        ({"shape": "disc", "size": -1}, "greater than 0"),
        ({"shape": "disc", "at": [0.5, 1.5]}, "less than or equal to 1"),
        ({"shape": "disc", "colour": 1}, "Extra inputs"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mask.model_validate(options)
