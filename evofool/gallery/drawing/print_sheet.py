"""A picture at its true size on paper: a PDF tiled over pages, and a PNG that knows its dpi."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image

from evofool.errors import EncodingError, FolderError, ImageError, UsageError
from evofool.files import PathError, expanded, is_folder, reason
from evofool.gallery.drawing.printing import find
from evofool.gallery.page.outlets import FolderOutlet
from evofool.gallery.reading.exhibits import IN_PLACE, Moved
from evofool.images import (
    MAX_PIXELS,
    PROVENANCE,
    UInt8Images,
    encode_png,
    picture_to_array,
    read_picture,
    to_hwc,
)
from evofool.text import bare, counted

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


@dataclass(frozen=True)
class PrintSheet:
    """A print sheet on disk.

    Attributes:
        pdf: the file.
        png: the file.
        size: width and height on paper, in millimetres.
        pixels: width and height.
        layout: of the PDF.
        how: the pixels came to be, for people.
    """

    pdf: Path
    png: Path
    size: tuple[float, float]
    pixels: tuple[int, int]
    layout: Layout
    how: str


@dataclass(frozen=True)
class _Source:
    """What is printed: its name, its picture C x H x W at print resolution, and its claim."""

    name: str
    image: UInt8Images = field(repr=False)
    how: str
    claim: Mapping[str, object]


def print_sheet(
    path: Path | str | os.PathLike[str],
    out: Path | str | os.PathLike[str],
    wanted: int | str | None = None,
    *,
    width_mm: float = 600.0,
    dpi: int = 300,
    paper: str = "a4",
    resample: str = "nearest",
    moved: Moved = IN_PLACE,
) -> PrintSheet:
    """Lay a picture out for print: ``sheet.pdf`` at its true size, and ``sheet.png``.

    An elite of a campaign whose encoding draws at any size is drawn anew from its genome, with
    every pixel of the print; anything else has only its own pixels, and is resampled.

    Args:
        path: a picture, or the run folder of a campaign.
        out: a new or empty folder.
        wanted: of a run: the class of the elite, its index, its label, or a pattern that fits one.
        width_mm: of the picture on paper; its height follows.
        dpi: dots an inch of PNG and PDF.
        paper: one of `PAPERS`; it is laid so that fewest pages are needed.
        resample: one of `FILTERS`, for what has only its own pixels: ``nearest`` repeats them.
        moved: where files of the run are now.

    Raises:
        UsageError: no such paper or filter, a size that cannot be printed, no elite of that class.
        ImageError: no picture, or one with too many pixels at this size and resolution.
        FolderError, StoreError: no run, or `out` holds something or cannot be written.
    """
    _check(width_mm, dpi, paper, resample)
    place = _free(out)
    source = _source(Path(path), wanted, width_mm, dpi, resample, moved)
    height, width = source.image.shape[1:]
    size = (width_mm, width_mm * height / width)
    layout = layout_of(size, paper)
    claim = {**source.claim, "printed": source.how, "width_mm": width_mm, "dpi": dpi}
    text = {"Software": "evofool", PROVENANCE: json.dumps(claim)}
    png = encode_png(source.image, text, dpi)
    pdf = pdf_bytes(source.image, size, layout, source.name, source.how)
    FolderOutlet.file(place / "sheet.png", png)
    FolderOutlet.file(place / "sheet.pdf", pdf)
    return PrintSheet(
        place / "sheet.pdf", place / "sheet.png", size, (width, height), layout, source.how
    )


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


def _source(
    path: Path, wanted: int | str | None, width_mm: float, dpi: int, resample: str, moved: Moved
) -> _Source:
    if not is_folder(path):
        if wanted is not None:
            raise UsageError(f"--class {wanted}: {path} is a picture, not a run folder")
        picture = read_picture(path)
        image = picture_to_array(picture, 1 if picture.mode == "L" else 3)
        shape = _shape(image.shape[1:], width_mm, dpi)
        return _Source(path.name, *_resampled(image, shape, resample), {})
    if wanted is None:
        raise UsageError(f"{path}: which picture of the run? Name its class: --class 14")
    with ExitStack() as stack:
        _, collection, exhibit = find(path, wanted, stack, moved)
        shape = _shape(collection.size, width_mm, dpi)
        name = f"{exhibit.class_index} {exhibit.label}"
        claim = {
            "class_index": exhibit.class_index, "label": exhibit.label,
            "confidence": exhibit.confidence, "scored_at": list(collection.size),
            "classifier": collection.victim, "classifier_digest": collection.digest,
            "encoding": collection.encoding, "run_id": collection.run_id, "seed": collection.seed,
        }  # fmt: skip
        try:
            image = collection.source.render(exhibit, shape)
            how = f"drawn again from its genome with {shape[1]} x {shape[0]} pixels"
        except EncodingError:
            small = collection.source.render(exhibit, collection.size)
            image, how = _resampled(small, shape, resample)
        return _Source(name, image, how, claim)


def _resampled(image: UInt8Images, shape: tuple[int, int], how: str) -> tuple[UInt8Images, str]:
    height, width = image.shape[1:]
    smaller = shape[0] < height or shape[1] < width
    chosen = "lanczos" if smaller else how
    rows = to_hwc(image)
    picture = PIL.Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows)
    resized = picture.resize((shape[1], shape[0]), FILTERS[chosen])
    words = "each repeated" if chosen == "nearest" else f"resampled by {chosen}"
    return picture_to_array(resized, image.shape[0]), f"its {width} x {height} pixels, {words}"


def _shape(own: tuple[int, ...], width_mm: float, dpi: int) -> tuple[int, int]:
    """Height and width in pixels."""
    width = max(1, round(width_mm / MM * dpi))
    height = max(1, round(width * own[0] / own[1]))
    if width * height > MAX_PIXELS:
        most = math.floor(dpi * math.sqrt(MAX_PIXELS / (width * height)))
        raise ImageError(
            f"{width_mm:g} mm at {dpi} dpi are {width} x {height} pixels, more than"
            f" {MAX_PIXELS:,}; use --dpi {most} or less, which looks the same from a car"
        )
    return height, width


def _check(width_mm: float, dpi: int, paper: str, resample: str) -> None:
    if paper not in PAPERS:
        raise UsageError(f"no paper {paper[:80]!r}; there are {', '.join(PAPERS)}")
    if resample not in FILTERS:
        raise UsageError(f"no filter {resample[:80]!r}; there are {', '.join(FILTERS)}")
    if not 10 <= width_mm <= 5000:  # a NaN fails both
        raise UsageError(f"a printed picture must be 10 to 5,000 mm wide, not {width_mm:g}")
    if not 30 <= dpi <= 2400:
        raise UsageError(f"a print must have 30 to 2,400 dpi, not {dpi}")


def _free(out: Path | str | os.PathLike[str]) -> Path:
    try:
        place = expanded(Path(out))
        taken = any(place.iterdir()) if place.is_dir() else os.path.lexists(place)
    except PathError as error:
        raise UsageError(f"--out {out}: {error}") from error
    except OSError as error:
        raise FolderError(f"{out}: cannot be used ({reason(error)})") from error
    if taken:
        raise FolderError(f"{place}: is not empty; give another --out, or remove it")
    return place


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def pages_line(sheet: PrintSheet) -> str:
    """How large it is and on how much paper, for people."""
    width, height = sheet.size
    wide, tall = sheet.layout.paper
    return (
        f"{width:g} x {height:g} mm, {sheet.pixels[0]} x {sheet.pixels[1]} pixels, on"
        f" {counted(sheet.layout.pages, 'page')} of {wide:g} x {tall:g} mm"
    )
