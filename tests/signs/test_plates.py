"""Signs: the shapes they are cut to, what is transparent, and what is no sign."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from evofool.errors import ImageError, UsageError
from evofool.signs.plates import LEAST_SIDE, MOST_SIDE, SHAPES, make_sign, read_sign, shape_opacity

WHITE = np.full((3, 32, 32), 255, np.uint8)


@pytest.mark.parametrize(
    ("shape", "share"),
    [
        ("square", 1.0),
        ("disc", np.pi / 4),
        ("triangle", 0.5),
        ("yield", 0.5),
        ("octagon", 2 * (2**0.5 - 1)),
    ],
)
def test_a_shape_covers_its_area(shape: str, share: float) -> None:
    opacity = shape_opacity(shape, (200, 200))
    assert opacity.mean() == pytest.approx(share, abs=0.004)
    assert make_sign(WHITE, shape).box == pytest.approx((0, 0, 1, 1), abs=0.01)


def test_every_shape_is_told_apart() -> None:
    assert len({make_sign(WHITE, shape).opacity.tobytes() for shape in SHAPES}) == len(SHAPES)
    tip = shape_opacity("triangle", (64, 64))
    np.testing.assert_allclose(shape_opacity("yield", (64, 64)), tip[::-1], atol=0.05)


def test_pixels_are_repeated_and_means_are_taken() -> None:
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (3, 8, 8), np.uint8)
    sign = make_sign(small)
    assert sign.picture.shape == (3, LEAST_SIDE, LEAST_SIDE)
    np.testing.assert_array_equal(sign.picture[:, 16::32, 16::32], small / np.float32(255))
    large = rng.integers(0, 256, (1, 2 * MOST_SIDE, 2 * MOST_SIDE), np.uint8)
    sign = make_sign(large)
    blocks = large.reshape(MOST_SIDE, 2, MOST_SIDE, 2).mean((1, 3)) / 255
    np.testing.assert_allclose(sign.picture, np.stack([blocks] * 3), atol=1e-5)


def test_what_is_transparent_is_no_part_of_it(tmp_path: Path) -> None:
    rows = np.zeros((300, 300, 4), np.uint8)
    rows[..., 0] = 200
    rows[30:270, 60:240, 3] = 255
    PIL.Image.fromarray(rows).save(tmp_path / "sign.png")
    sign = read_sign(tmp_path / "sign.png")
    assert sign.box == pytest.approx((0.2, 0.1, 0.8, 0.9))
    assert sign.picture[0, 150, 150] == pytest.approx(200 / 255)
    assert not sign.picture[:, 10].any()
    assert read_sign(tmp_path / "sign.png", "triangle").opacity.sum() < sign.opacity.sum()


def test_half_transparent_colours_are_kept(tmp_path: Path) -> None:
    rows = np.full((300, 300, 4), (180, 90, 30, 255), np.uint8)
    rows[:100, :, 3] = 128
    PIL.Image.fromarray(rows).save(tmp_path / "sign.png")
    sign = read_sign(tmp_path / "sign.png")
    np.testing.assert_allclose(
        sign.picture[:, 50, 50] / sign.opacity[50, 50], np.array([180, 90, 30]) / 255, atol=0.01
    )


def test_what_is_no_sign(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'octagon'"):
        make_sign(WHITE, "octogon")
    with pytest.raises(UsageError, match="nothing in it is opaque"):
        make_sign(WHITE, opacity=np.zeros((32, 32), np.uint8))
    with pytest.raises(ImageError, match="a mask of"):
        make_sign(WHITE, opacity=np.zeros((31, 32), np.uint8))
    with pytest.raises(ImageError, match="uint8"):
        make_sign(WHITE.astype(np.float32))  # type: ignore[arg-type]
    (tmp_path / "fake.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(ImageError, match="cannot be read as a picture"):
        read_sign(tmp_path / "fake.png")
    PIL.Image.new("RGBA", (20, 20)).save(tmp_path / "clear.png")
    with pytest.raises(UsageError, match=r"clear\.png: nothing in it is opaque"):
        read_sign(tmp_path / "clear.png")
