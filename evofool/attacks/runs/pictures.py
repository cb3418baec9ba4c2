"""Perturbations for the eye, and the picture of Goodfellow's panda: image + eps x sign = image'."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from importlib import resources

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from evofool.images import UInt8Images, to_hwc
from evofool.text import bare, percent, shortened

TILE = 336
"""Side of a picture; smaller ones are enlarged by whole factors, larger ones reduced."""
_PAPER, _INK, _MUTED, _LINE = (255, 255, 255), (28, 27, 25), (118, 114, 108), (214, 210, 203)
_GOOD, _BAD = (44, 110, 86), (190, 62, 44)
_MARGIN, _GAP, _SCALE = 44, 84, 2


@dataclass(frozen=True)
class Side:
    """The victim's answer beneath a picture; no confidence where it gives labels alone."""

    label: str
    confidence: float | None


def amplified(clean: UInt8Images, other: UInt8Images) -> tuple[UInt8Images, float]:
    """`other` - `clean` (both C x H x W) around grey, as strong as 8 bits allow; and how strong."""
    change = other.astype(np.int16) - clean.astype(np.int16)
    largest = int(np.abs(change).max(initial=0))
    factor = 127 / largest if largest else 1.0
    shown: UInt8Images = np.clip(np.rint(128 + change * factor), 0, 255).astype(np.uint8)
    return shown, factor


def equation(
    clean: UInt8Images,
    other: UInt8Images,
    before: Side,
    after: Side,
    *,
    title: str,
    eps: float | None = None,
) -> UInt8Images:
    """One slide: the clean picture, the perturbation, the adversarial picture, and both answers.

    Args:
        clean: C x H x W uint8.
        other: the same shape.
        before: the victim's answer to `clean`.
        after: its answer to `other`.
        title: of the attack.
        eps: the radius in the maximum norm. Where `other` is exactly `clean` + eps x sign (cut to
            the range of a picture), the middle shows signs, otherwise the change, amplified.

    Returns:
        3 x H' x W' uint8.
    """
    change = other.astype(np.int16) - clean.astype(np.int16)
    level = 0 if eps is None else round(eps * 255)
    if level and np.array_equal(np.clip(clean + level * np.sign(change), 0, 255), other):
        middle = np.where(change > 0, 255, np.where(change < 0, 0, 128)).astype(np.uint8)
        names = f"{level}/255", "the sign, pixel by pixel"
    else:
        middle, factor = amplified(clean, other)
        names = "", f"the change, amplified {factor:.0f} times" if factor > 1 else "the change"
    tiles = [_tile(picture) for picture in (clean, middle, other)]
    width = 2 * _MARGIN + 3 * TILE + 2 * _GAP
    top = 84
    height = top + TILE + 108
    sheet = PIL.Image.new("RGB", (width * _SCALE, height * _SCALE), _PAPER)
    draw = PIL.ImageDraw.Draw(sheet)

    def text(x: float, y: float, what: str, size: int, fill: tuple[int, int, int],
             anchor: str = "mm") -> None:  # fmt: skip
        draw.text((x * _SCALE, y * _SCALE), what, fill=fill, font=_font(size, what), anchor=anchor)

    text(_MARGIN, 40, bare(title)[:80], 22, _INK, "lm")
    change_size = f"largest change {np.abs(change).max(initial=0)} of 255 levels"
    text(width - _MARGIN, 41, change_size, 13, _MUTED, "rm")
    lefts = [_MARGIN + k * (TILE + _GAP) for k in range(3)]
    for left, tile in zip(lefts, tiles, strict=True):
        box = (left * _SCALE - 1, top * _SCALE - 1,
               (left + TILE) * _SCALE, (top + TILE) * _SCALE)  # fmt: skip
        sheet.paste(tile, (left * _SCALE, top * _SCALE))
        draw.rectangle(box, outline=_LINE)
    middle_y = top + TILE / 2
    text(lefts[1] - _GAP / 2, middle_y - (14 if names[0] else 0), "+", 40, _INK)
    if names[0]:
        text(lefts[1] - _GAP / 2 + 14, middle_y + 24, names[0], 13, _INK, "rm")
        x, y, r = lefts[1] - _GAP / 2 + 22, middle_y + 24, 3  # a cross, which the font has not
        for slope in (-1, 1):
            ends = [(x - r, y - slope * r), (x + r, y + slope * r)]
            draw.line([(a * _SCALE, b * _SCALE) for a, b in ends], fill=_INK, width=_SCALE + 1)
    text(lefts[2] - _GAP / 2, middle_y, "=", 40, _INK)
    below = top + TILE + 34
    for left, side, colour in ((lefts[0], before, _GOOD), (lefts[2], after, _BAD)):
        fill = colour if before.label != after.label else _INK
        name = shortened(side.label, TILE * _SCALE, _font(22, side.label).getlength)
        text(left + TILE / 2, below, name, 22, fill)
        if side.confidence is not None:
            text(left + TILE / 2, below + 32, percent(side.confidence), 17, _MUTED)
    text(lefts[1] + TILE / 2, below, names[1], 17, _MUTED)
    return np.ascontiguousarray(np.moveaxis(np.asarray(sheet, dtype=np.uint8), -1, 0))


def _font(size: int, text: str) -> PIL.ImageFont.FreeTypeFont:
    """Pillow's own font, or for letters that it lacks the one that comes with matplotlib."""
    size *= _SCALE
    if not text.replace("…", "").isascii():
        path = resources.files("matplotlib") / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        with contextlib.suppress(OSError, ImportError):
            return PIL.ImageFont.truetype(str(path), size)
    font = PIL.ImageFont.load_default(size=size)
    assert isinstance(font, PIL.ImageFont.FreeTypeFont)  # what a given size asks for
    return font


def _tile(image: UInt8Images) -> PIL.Image.Image:
    """The picture fitted into a square of `TILE`, pixels kept square where it is enlarged."""
    rows = to_hwc(image)
    picture = PIL.Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows).convert("RGB")
    side, longest = TILE * _SCALE, max(picture.size)
    if longest * 2 <= side:
        factor = math.ceil(side / longest)
        picture = picture.resize(
            (picture.width * factor, picture.height * factor), PIL.Image.Resampling.NEAREST
        )
        longest *= factor
    scale = side / longest
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = picture.resize(size, PIL.Image.Resampling.LANCZOS)
    square = PIL.Image.new("RGB", (side, side), _PAPER)
    square.paste(picture, ((side - size[0]) // 2, (side - size[1]) // 2))
    return square
