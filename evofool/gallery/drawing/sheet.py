"""The contact sheet: every elite small, with its class and confidence below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from evofool.images import UInt8Images, encode_png, to_hwc
from evofool.report.theme import Colours
from evofool.text import percent, shortened

MIN_SIDE = 96
"""Smaller pictures are enlarged by a whole factor until they reach this."""
MAX_SIDE = 112
"""Larger pictures are reduced to this, or to `MIN_SIDE` where there are many."""
MANY = 300
MAX_WIDTH = 4000
MAX_BYTES = 8_000_000

ON_PAPER: Colours = {"paper": "#ffffff", "ink": "#1c1b19", "soft": "#76726c", "track": "#e4e1db"}
"""Of a sheet that may be printed: its ground is white, its inks are darker than a page's."""
_GAP = 12
_BAR = 3


@dataclass(frozen=True)
class Tile:
    """One picture of a contact sheet, and what is written below it.

    Attributes:
        image: uint8 C x H x W, of 1 or 3 channels.
        label: the name of its class.
        confidence: of the victim in that class, on [0, 1]; None writes none.
        fools: whether it fools the victim; None writes neither.
    """

    image: UInt8Images
    label: str
    confidence: float | None
    fools: bool | None = None


def contact_sheet(
    tiles: Sequence[Tile],
    columns: int | None = None,
    side: int | None = None,
    colours: Colours = ON_PAPER,
) -> UInt8Images:
    """The tiles in reading order, as one 3 x H x W uint8 image.

    Args:
        tiles: in reading order.
        columns: tiles a row; by default what fills a landscape rectangle best.
        side: longest side of a picture in pixels; by default 96 to 112. Enlarging keeps to whole
            factors, so that pixels stay squares.
        colours: ``paper``, ``ink``, ``soft`` and ``track``, as ``#rrggbb``.

    Raises:
        ValueError: no tiles, or `columns` or `side` below 1.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one tile")
    if (columns is not None and columns < 1) or (side is not None and side < 1):
        raise ValueError("columns and side must be at least 1")
    pictures = [_scaled(tile.image, side, len(tiles)) for tile in tiles]
    box = max(max(picture.size) for picture in pictures)
    font = PIL.ImageFont.load_default(size=max(8, round(box / 9)))
    assert isinstance(font, PIL.ImageFont.FreeTypeFont)  # what a given size asks for
    line = sum(font.getmetrics())
    step_x, step_y = box + _GAP, box + _BAR + 2 * line + _GAP + 8
    columns = min(columns or _columns(len(tiles), step_x), len(tiles))
    rows = math.ceil(len(tiles) / columns)
    sheet = PIL.Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), colours["paper"])
    draw = PIL.ImageDraw.Draw(sheet)
    for position, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        left = _GAP + position % columns * step_x
        top = _GAP + position // columns * step_y
        x, y = left + (box - picture.width) // 2, top + (box - picture.height) // 2
        edge = colours["ink" if tile.fools else "track"]
        draw.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=edge)
        sheet.paste(picture, (x, y))
        top += box + 4
        filled = round(box * min(max(tile.confidence or 0.0, 0.0), 1.0))
        draw.rectangle((left, top, left + box - 1, top + _BAR - 1), fill=colours["track"])
        if filled:
            draw.rectangle((left, top, left + filled - 1, top + _BAR - 1), fill=colours["ink"])
        top += _BAR + 2
        name = shortened(tile.label, box, font.getlength)
        draw.text((left, top), name, fill=colours["ink"], font=font)
        caption = ["" if tile.confidence is None else percent(tile.confidence)]
        if tile.fools is not None:
            caption.append("fooled" if tile.fools else "not fooled")
        text = shortened(" · ".join(filter(None, caption)), box, font.getlength)
        tone = colours["ink" if tile.fools else "soft"]
        draw.text((left, top + line), text, fill=tone, font=font)
    return np.ascontiguousarray(np.moveaxis(np.asarray(sheet, dtype=np.uint8), -1, 0))


def contact_sheet_png(
    tiles: Sequence[Tile], columns: int | None = None, max_bytes: int = MAX_BYTES
) -> bytes:
    """`contact_sheet` as PNG bytes; noise hardly compresses, so its tiles shrink until it fits.

    Raises:
        ValueError: as `contact_sheet`.
    """
    data = b""
    for side in (None, 72, 56, 40):
        data = encode_png(contact_sheet(tiles, columns, side))
        if len(data) <= max_bytes:
            break
    return data


def _scaled(image: UInt8Images, side: int | None, count: int) -> PIL.Image.Image:
    rows = to_hwc(image)
    picture = PIL.Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows).convert("RGB")
    longest = max(picture.size)
    least, most = (side, side) if side else (MIN_SIDE, MIN_SIDE if count > MANY else MAX_SIDE)
    if longest < least:
        factor = max(1, least // longest) if side else math.ceil(least / longest)
        pixels = np.asarray(picture).repeat(factor, axis=0).repeat(factor, axis=1)
        return PIL.Image.fromarray(pixels)
    if longest > most:
        size = (
            max(1, round(picture.width * most / longest)),
            max(1, round(picture.height * most / longest)),
        )
        return picture.resize(size, PIL.Image.Resampling.BOX)
    return picture


def _columns(count: int, step: int) -> int:
    """The fewest empty places in the last row, among landscape shapes that are not too wide."""
    most = max(1, (MAX_WIDTH - _GAP) // step)
    low = min(most, math.ceil(math.sqrt(count)))
    high = max(low, min(most, math.ceil(math.sqrt(2 * count))))
    return min(range(low, high + 1), key=lambda columns: (-count % columns, columns))
