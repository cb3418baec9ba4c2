"""Backgrounds: colours, drawn signs, pictures at other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from evofool.images import encode_png
from evofool.render.backgrounds import SIGNS, Background


def test_a_colour_is_the_same_everywhere() -> None:
    drawn = Background(colour=(10, 20, 30)).draw(3, (4, 6))
    assert drawn.shape == (3, 4, 6)
    assert (drawn == np.array([10, 20, 30], np.uint8)[:, None, None]).all()


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_is_the_same_one_at_any_size(sign: Any) -> None:
    small, large = (Background(sign=sign).draw(3, (n, n)).astype(float) for n in (32, 256))
    averaged = large.reshape(3, 32, 8, 32, 8).mean(axis=(2, 4))
    assert np.abs(averaged - small).mean() < 4
    assert small.std() > 20
    assert Background(sign=sign).draw(1, (40, 30)).shape == (1, 40, 30)


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (3, 12, 8), dtype=np.uint8)
    path = tmp_path / "street.png"
    path.write_bytes(encode_png(picture))
    background = Background(picture=str(path)).pinned()
    np.testing.assert_array_equal(background.draw(3, (12, 8)), picture)
    half = background.draw(3, (6, 4))
    wanted = picture.reshape(3, 6, 2, 4, 2).mean(axis=(2, 4))
    assert np.abs(half - wanted).max() <= 1
    square = background.draw(3, (8, 8))  # cut around the middle
    np.testing.assert_array_equal(square, picture[:, 2:10])
    assert background.draw(3, (120, 80)).shape == (3, 120, 80)
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="does not have the sha256"):
        background.pinned()
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        Background(picture=str(path)).pinned()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of colour, sign and picture, not none"),
        ({"colour": [0, 0, 0], "sign": "stop"}, "not colour and sign"),
        ({"colour": [0, 0, 256]}, "less than or equal to 255"),
        ({"sign": "halt"}, "'stop', 'yield'"),
        ({"sign": "stop", "sha256": "0" * 64}, "sha256 belongs to a picture"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Background.model_validate(options)
