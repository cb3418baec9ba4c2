"""Print sheets: true size in the page's own units, every pixel as it is, and what is refused."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import evofool
from evofool.errors import FolderError, ImageError, UsageError
from evofool.gallery.drawing.print_sheet import pages_line, print_sheet
from evofool.images import encode_png, picture_to_array
from evofool.report.paper import PAPERS, layout_of, pdf_bytes

POINTS = 72 / 25.4
"""A millimetre in PDF's unit."""


def boxes(pdf: bytes) -> list[tuple[float, ...]]:
    """The sizes of the pages in millimetres."""
    found = re.findall(rb"/MediaBox \[ ([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) \]", pdf)
    return [(float(box[2]) / POINTS, float(box[3]) / POINTS) for box in found]


def drawn(pdf: bytes) -> list[tuple[float, float]]:
    """Width and height of each image on its page in millimetres, from the pages' own matrices."""
    sizes = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            text = zlib.decompress(stream)
        except zlib.error:
            continue
        matrix = re.search(rb"([\d.]+) 0 0\s+(-?[\d.]+) [\d.]+ [\d.]+ cm /I\d+ Do", text)
        if matrix:
            sizes.append((float(matrix[1]) / POINTS, abs(float(matrix[2])) / POINTS))
    return sizes


def embedded(pdf: bytes) -> list[np.ndarray]:
    """The pixels of the images in a PDF, as they are seen."""
    images = []
    stream = rb"<<([^<>]*/Subtype /Image.*?)>>\s*stream\r?\n(.*?)\r?\nendstream"
    for head, data in re.findall(stream, pdf, re.DOTALL):
        width, height = (
            int(re.findall(key + rb" (\d+)", head)[0]) for key in (b"Width", b"Height")
        )
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunks = b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
        )
        with PIL.Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunks)) as picture:
            images.append(np.asarray(picture)[::-1])  # it is drawn upside down
    return images


@pytest.mark.parametrize("paper", PAPERS)
def test_pages_have_the_size_of_their_paper_and_pictures_their_own(paper: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, (3, 30, 60), np.uint8)
    size = (400.0, 200.0)
    layout = layout_of(size, paper)
    pdf = pdf_bytes(image, size, layout, "a sign", "drawn")
    assert len(boxes(pdf)) == layout.pages
    for box in boxes(pdf):
        assert box == pytest.approx(layout.paper, abs=0.01)
    assert set(layout.paper) == set(PAPERS[paper])
    wide = sum(width for width, _ in drawn(pdf)) / layout.rows
    tall = sum(height for _, height in drawn(pdf)) / layout.columns
    assert (wide, tall) == pytest.approx(size, abs=0.01)


def test_every_pixel_is_printed_as_it_is() -> None:
    image = np.random.default_rng(1).integers(0, 256, (3, 50, 70), np.uint8)
    layout = layout_of((300, 300 * 5 / 7), "a4")
    assert layout.pages == 2
    parts = embedded(pdf_bytes(image, (300, 300 * 5 / 7), layout, "a sign", "drawn"))
    axis = 0 if layout.rows == 2 else 1
    np.testing.assert_array_equal(np.concatenate(parts, axis), image.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("size", "paper", "paper_laid", "pages"),
    [
        ((100, 100), "a4", (210, 297), 1),
        ((277, 180), "a4", (297, 210), 1),
        ((190, 267), "a4", (210, 297), 1),
        ((600, 600), "a4", (210, 297), 12),
        ((600, 600), "a3", (297, 420), 6),
        ((195, 100), "letter", (215.9, 279.4), 1),
    ],
)
def test_the_fewest_pages(size: Any, paper: str, paper_laid: Any, pages: int) -> None:
    layout = layout_of(size, paper)
    assert (layout.paper, layout.pages) == (paper_laid, pages)


def test_a_picture_and_what_it_says_of_itself(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 8, 16), np.uint8)
    (tmp_path / "sign.png").write_bytes(encode_png(pixels))
    sheet = print_sheet(tmp_path / "sign.png", tmp_path / "out", width_mm=50.8, dpi=80)
    assert sheet.pixels == (160, 80)
    assert sheet.size == (50.8, 25.4)
    assert sheet.how == "its 16 x 8 pixels, each repeated"
    assert "1 page of 210 x 297 mm" in pages_line(sheet)
    data = sheet.png.read_bytes()
    unit = data[data.index(b"pHYs") + 4 :][:9]
    assert struct.unpack(">IIB", unit) == (3150, 3150, 1)  # 80 / 0.0254 a metre
    with PIL.Image.open(sheet.png) as picture:
        printed = picture_to_array(picture, 3)
    np.testing.assert_array_equal(printed, pixels.repeat(10, 1).repeat(10, 2))
    assert drawn(sheet.pdf.read_bytes()) == [pytest.approx((50.8, 25.4), abs=0.01)]
    smooth = print_sheet(
        tmp_path / "sign.png", tmp_path / "b", width_mm=50.8, dpi=80, resample="bicubic"
    )
    assert smooth.how == "its 16 x 8 pixels, resampled by bicubic"
    assert smooth.png.read_bytes() != data


def test_genomes_are_drawn_anew_where_they_can_be(
    tmp_path: Path, toy_campaign: Callable[..., dict[str, Any]]
) -> None:
    config = toy_campaign(
        encoding={"name": "cppn"}, evolution={"initial": 8, "children": 8}, stop={"generations": 1}
    )
    run = evofool.evolve(config, tmp_path / "cppn").path
    sheet = print_sheet(run, tmp_path / "out", 3, width_mm=25.4, dpi=100)
    assert sheet.how == "drawn again from its genome with 100 x 100 pixels"
    with PIL.Image.open(sheet.png) as picture:
        assert len(np.unique(picture_to_array(picture, 1).reshape(100, 100), axis=1).T) > 6
    run = evofool.evolve(toy_campaign(stop={"generations": 1}), tmp_path / "bytes").path
    sheet = print_sheet(run, tmp_path / "two", "3", width_mm=25.4, dpi=60)
    assert sheet.how == "its 6 x 6 pixels, each repeated"
    with pytest.raises(UsageError, match="Name its class"):
        print_sheet(run, tmp_path / "three")
    with pytest.raises(UsageError, match="--class 9"):
        print_sheet(run, tmp_path / "three", 9)


def test_what_cannot_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "sign.png"
    path.write_bytes(encode_png(np.zeros((3, 8, 8), np.uint8)))

    def refused(error: type[Exception], match: str, **options: Any) -> None:
        with pytest.raises(error, match=match):
            print_sheet(path, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    refused(ImageError, "use --dpi 346 or less", dpi=600)
    refused(UsageError, "need .* pages of a4, more than 100", width_mm=3000, dpi=30)
    refused(UsageError, "no paper 'b5'; there are a4", paper="b5")
    refused(UsageError, "no filter", resample="box")
    refused(UsageError, "10 to 5,000 mm", width_mm=float("nan"))
    refused(UsageError, "30 to 2,400 dpi", dpi=0)
    refused(UsageError, "is a picture, not", wanted="3")
    with pytest.raises(FolderError, match="is not empty"):
        print_sheet(path, tmp_path)
    (tmp_path / "fake.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match="cannot be read"):
        print_sheet(tmp_path / "fake.png", tmp_path / "out")


def test_a_label_is_only_text() -> None:
    image = np.zeros((1, 4, 4), np.uint8)
    hostile = "$\\frac{1}{$ \x1b[31m \u202e" + "x" * 500
    assert boxes(pdf_bytes(image, (50, 50), layout_of((50, 50), "a4"), hostile, "drawn"))
