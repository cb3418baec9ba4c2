"""The contact sheet: sizes, pixels, captions."""

from __future__ import annotations

import numpy as np
import pytest

from evofool.gallery import Tile, contact_sheet, contact_sheet_png
from evofool.images import decode_png
from evofool.report.theme import DARK


def tiles(count: int, side: int, channels: int = 3, label: str = "goldfish") -> list[Tile]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (channels, side, side), dtype=np.uint8)
    return [Tile(image, label, 0.5) for _ in range(count)]


def test_digits_are_enlarged_by_a_whole_factor() -> None:
    one = tiles(1, 28, 1)
    sheet = contact_sheet(one)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] == 3
    wanted = one[0].image.repeat(4, 1).repeat(4, 2)[0]
    assert np.array_equal(sheet[0, 12 : 12 + 112, 12 : 12 + 112], wanted)


def test_ten_digits_make_two_full_rows() -> None:
    sheet = contact_sheet(tiles(10, 28, 1))
    assert sheet.shape[2] == 5 * (112 + 12) + 12


def test_a_thousand_tiles_stay_within_bounds() -> None:
    y, x = np.mgrid[0:224, 0:224]
    image = np.stack([x, y, x + y]).astype(np.uint8)
    many = [Tile(image, "goldfish, Carassius auratus", 0.25)] * 1000
    data = contact_sheet_png(many)
    assert decode_png(data).shape[2] <= 4000
    assert len(data) < 8_000_000


def test_noise_shrinks_until_it_fits() -> None:
    rng = np.random.default_rng(0)
    noise = [Tile(rng.integers(0, 256, (3, 96, 96), np.uint8), "x", 0.5) for _ in range(30)]
    whole, small = contact_sheet_png(noise), contact_sheet_png(noise, max_bytes=600_000)
    assert len(whole) > 800_000
    assert len(small) <= 600_000
    assert decode_png(small).shape[2] < decode_png(whole).shape[2]


def test_grey_and_colour_and_shapes_mix() -> None:
    mixed = [*tiles(2, 28, 1), *tiles(2, 224, 3), Tile(np.zeros((3, 50, 300), np.uint8), "w", 1.0)]
    assert contact_sheet(mixed, columns=5).shape[2] == 5 * (112 + 12) + 12


@pytest.mark.parametrize(
    "label", ["x" * 300, "", "שלום", "two\nlines", "\ud800", "\U0001f600", ","]
)
def test_no_label_changes_the_size_of_the_sheet(label: str) -> None:
    assert contact_sheet(tiles(3, 28, 1, label)).shape == contact_sheet(tiles(3, 28, 1)).shape


def test_a_caption_stays_below_its_own_tile() -> None:
    white = Tile(np.full((3, 112, 112), 255, np.uint8), "W" * 300, 0.0)
    sheet = contact_sheet([white, Tile(white.image, "", 0.0)], columns=2)
    gap = sheet[:, :, 12 + 112 + 1 : 12 + 112 + 11]  # without the outlines at both sides
    assert gap.min() == 255


def test_the_bar_is_as_long_as_the_confidence() -> None:
    sheet = contact_sheet(tiles(1, 112))
    row = sheet[0, 12 + 112 + 4, 12 : 12 + 112]
    assert (row < 100).sum() == 56


def test_a_dark_sheet_has_light_words_on_a_dark_ground() -> None:
    black = Tile(np.zeros((1, 112, 112), np.uint8), "word", 0.0)
    sheet = contact_sheet([black], colours=DARK)
    assert sheet[:, 0, 0].tolist() == [0x14, 0x13, 0x15]
    assert sheet[0, 12 + 112 + 9 :].max() > 0xE0


def test_what_fools_has_a_frame_and_says_so() -> None:
    image = np.full((3, 112, 112), 255, np.uint8)
    sheets = [contact_sheet([Tile(image, "x", 0.5, fools)])[0] for fools in (True, False, None)]
    corners = [int(sheet[11, 11]) for sheet in sheets]
    assert corners[0] < 50 < corners[1] == corners[2]
    assert not np.array_equal(sheets[1], sheets[2])


@pytest.mark.parametrize(("columns", "side"), [(0, None), (None, 0), (-1, None)])
def test_sizes_below_one_are_refused(columns: int | None, side: int | None) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        contact_sheet(tiles(1, 28), columns, side)


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
