"""Pictures at their true size on paper: how many pixels and pages they take, and the PDF."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image

from evofool.errors import ImageError, UsageError
from evofool.images import MAX_PIXELS, UInt8Images, picture_to_array, to_hwc
from evofool.text import bare

if TYPE_CHECKING:
    from matplotlib.backends.backend_pdf import PdfPages

PAPERS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"a4": (210.0, 297.0), "a3": (297.0, 420.0), "letter": (215.9, 279.4)}
)
"""Width and height in millimetres, upright."""
FILTERS: Mapping[str, PIL.Image.Resampling] = MappingProxyType(
    {
        "nearest": PIL.Image.Resampling.NEAREST,
        "bicubic": PIL.Image.Resampling.BICUBIC,
        "lanczos": PIL.Image.Resampling.LANCZOS,
    }
)
"""How pictures become larger. Smaller ones are always made by Lanczos's filter."""

MM = 25.4
"""Of an inch."""
MARGIN, FOOT = 10.0, 20.0
"""Millimetres that most printers leave white, and those of the scale bar below."""
BAR = 100.0
"""Length of the scale bar, in millimetres."""
MOST_PAGES = 100


@dataclass(frozen=True)
class Layout:
    """How a picture is spread over pages.

    Attributes:
        paper: width and height of a page in millimetres, as it lies.
        columns: of pages.
        rows: of pages.
    """

    paper: tuple[float, float]
    columns: int
    rows: int

    @property
    def pages(self) -> int:
        """Their number."""
        return self.columns * self.rows


def layout_of(size: tuple[float, float], paper: str) -> Layout:
    """The pages that a picture of `size`, width and height in millimetres, needs.

    Raises:
        UsageError: more than `MOST_PAGES`.
    """
    choices = []
    for lying in (False, True):
        page = PAPERS[paper][::-1] if lying else PAPERS[paper]
        room = (page[0] - 2 * MARGIN, page[1] - MARGIN - FOOT)
        columns, rows = (math.ceil(n / r - 1e-9) for n, r in zip(size, room, strict=True))
        choices.append(Layout(page, columns, rows))
    best = min(choices, key=lambda layout: layout.pages)
    if best.pages > MOST_PAGES:
        raise UsageError(
            f"{size[0]:g} x {size[1]:g} mm need {best.pages} pages of {paper}, more than"
            f" {MOST_PAGES}; print it smaller or on larger paper"
        )
    return best


def pdf_bytes(
    image: UInt8Images, size: tuple[float, float], layout: Layout, name: str, how: str
) -> bytes:
    """The PDF: each page a tile with its marks, never resampled and without loss.

    Args:
        image: C x H x W.
        size: of all of it on paper, width and height in millimetres.
        layout: of the pages.
        name: of the picture, for people.
        how: it came to be, for people.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    rows = to_hwc(image)
    if rows.shape[-1] == 1:
        rows = np.repeat(rows, 3, -1)
    buffer = io.BytesIO()
    about = {"Title": bare(name), "Creator": "evofool", "CreationDate": None}
    with PdfPages(buffer, metadata=about) as pages:
        for row in range(layout.rows):
            for column in range(layout.columns):
                _draw_page(pages, rows, size, layout, (column, row), f"{name}: {how}")
    return buffer.getvalue()


def _draw_page(
    pages: PdfPages,
    rows: UInt8Images,
    size: tuple[float, float],
    layout: Layout,
    tile: tuple[int, int],
    about: str,
) -> None:
    """One page. Lengths are in millimetres, from the left lower corner of the paper."""
    from matplotlib.figure import Figure

    wide, tall = layout.paper
    height, width = rows.shape[:2]
    ends = [
        [round(k * n / count) for k in (place, place + 1)]
        for place, count, n in zip(
            tile, (layout.columns, layout.rows), (width, height), strict=True
        )
    ]
    (first, last), (top, bottom) = ends
    tile_wide, tile_tall = (last - first) * size[0] / width, (bottom - top) * size[1] / height
    left = (wide - tile_wide) / 2
    low = FOOT + (tall - MARGIN - FOOT - tile_tall) / 2

    figure = Figure(figsize=(wide / MM, tall / MM))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    extent = (left, left + tile_wide, low, low + tile_tall)
    axes.imshow(rows[top:bottom, first:last], extent=extent, interpolation="none", aspect="auto")
    axes.set_xlim(0, wide)
    axes.set_ylim(0, tall)
    for x, outward in ((left, -1), (left + tile_wide, 1)):
        for y, upward in ((low, -1), (low + tile_tall, 1)):
            for dx, dy in ((outward, 0), (0, upward)):
                axes.plot([x + 1.5 * dx, x + 6 * dx], [y + 1.5 * dy, y + 6 * dy],
                          color="black", linewidth=0.4)  # fmt: skip
    axes.plot([MARGIN, MARGIN + BAR], [MARGIN, MARGIN], color="black", linewidth=0.8)
    for k in range(11):
        tick = 2.0 if k % 5 else 3.5
        x = MARGIN + k * BAR / 10
        axes.plot([x, x], [MARGIN, MARGIN + tick], color="black", linewidth=0.5)
    number = tile[1] * layout.columns + tile[0] + 1
    words = (
        f"page {number} of {layout.pages}, row {tile[1] + 1}, column {tile[0] + 1};"
        f" the picture is {size[0]:g} x {size[1]:g} mm"
    )
    style: dict[str, Any] = {"fontsize": 6.5, "color": "black", "parse_math": False}
    axes.text(MARGIN + BAR + 4, MARGIN + 2.2, "100 mm: print at 100 %, and measure", **style)
    axes.text(MARGIN + BAR + 4, MARGIN - 1, words, **style)
    axes.text(MARGIN, MARGIN - 4, _cut(bare(about), 150), **style)
    pages.savefig(figure)  # type: ignore[no-untyped-call]


def resampled(image: UInt8Images, shape: tuple[int, int], how: str) -> tuple[UInt8Images, str]:
    """A picture with other pixels, and how they came to be, for people.

    Args:
        image: uint8 C x H x W of 1 or 3 channels.
        shape: height and width that it gets.
        how: one of `FILTERS`; a picture that becomes smaller is always resampled by Lanczos's.
    """
    height, width = image.shape[1:]
    smaller = shape[0] < height or shape[1] < width
    chosen = "lanczos" if smaller else how
    rows = to_hwc(image)
    picture = PIL.Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows)
    resized = picture.resize((shape[1], shape[0]), FILTERS[chosen])
    words = "each repeated" if chosen == "nearest" else f"resampled by {chosen}"
    return picture_to_array(resized, image.shape[0]), f"its {width} x {height} pixels, {words}"


def shape_of(own: tuple[int, ...], width_mm: float, dpi: int) -> tuple[int, int]:
    """Height and width in pixels of a print.

    Args:
        own: height and width of the picture, in whatever unit.
        width_mm: of the print.
        dpi: its dots an inch.

    Raises:
        ImageError: more than `MAX_PIXELS` pixels.
    """
    width = max(1, round(width_mm / MM * dpi))
    height = max(1, round(width * own[0] / own[1]))
    if width * height > MAX_PIXELS:
        most = math.floor(dpi * math.sqrt(MAX_PIXELS / (width * height)))
        raise ImageError(
            f"{width_mm:g} mm at {dpi} dpi are {width} x {height} pixels, more than"
            f" {MAX_PIXELS:,}; use --dpi {most} or less, which looks the same from a car"
        )
    return height, width


def check(width_mm: float, dpi: int, paper: str, resample: str = "nearest") -> None:
    """Refuse what nothing can be printed by.

    Raises:
        UsageError: no such paper or filter, or a size or resolution that no print has.
    """
    if paper not in PAPERS:
        raise UsageError(f"no paper {paper[:80]!r}; there are {', '.join(PAPERS)}")
    if resample not in FILTERS:
        raise UsageError(f"no filter {resample[:80]!r}; there are {', '.join(FILTERS)}")
    if not 10 <= width_mm <= 5000:  # a NaN fails both
        raise UsageError(f"a printed picture must be 10 to 5,000 mm wide, not {width_mm:g}")
    if not 30 <= dpi <= 2400:
        raise UsageError(f"a print must have 30 to 2,400 dpi, not {dpi}")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
