"""A picture at its true size on paper: a PDF tiled over pages, and a PNG that knows its dpi."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from evofool.errors import EncodingError, FolderError, UsageError
from evofool.files import PathError, expanded, is_folder, reason
from evofool.gallery.drawing.printing import find
from evofool.gallery.page.outlets import FolderOutlet
from evofool.gallery.reading.exhibits import IN_PLACE, Moved
from evofool.images import PROVENANCE, UInt8Images, encode_png, picture_to_array, read_picture
from evofool.report.paper import Layout, check, layout_of, pdf_bytes, resampled, shape_of
from evofool.text import counted


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
    check(width_mm, dpi, paper, resample)
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


def _source(
    path: Path, wanted: int | str | None, width_mm: float, dpi: int, resample: str, moved: Moved
) -> _Source:
    if not is_folder(path):
        if wanted is not None:
            raise UsageError(f"--class {wanted}: {path} is a picture, not a run folder")
        picture = read_picture(path)
        image = picture_to_array(picture, 1 if picture.mode == "L" else 3)
        shape = shape_of(image.shape[1:], width_mm, dpi)
        return _Source(path.name, *resampled(image, shape, resample), {})
    if wanted is None:
        raise UsageError(f"{path}: which picture of the run? Name its class: --class 14")
    with ExitStack() as stack:
        _, collection, exhibit = find(path, wanted, stack, moved)
        shape = shape_of(collection.size, width_mm, dpi)
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
            image, how = resampled(small, shape, resample)
        return _Source(name, image, how, claim)


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


def pages_line(sheet: PrintSheet) -> str:
    """How large it is and on how much paper, for people."""
    width, height = sheet.size
    wide, tall = sheet.layout.paper
    return (
        f"{width:g} x {height:g} mm, {sheet.pixels[0]} x {sheet.pixels[1]} pixels, on"
        f" {counted(sheet.layout.pages, 'page')} of {wide:g} x {tall:g} mm"
    )
