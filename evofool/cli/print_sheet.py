"""``evofool print-sheet``: a picture at its true size on paper."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from evofool.cli import completion
from evofool.cli.terminal import answer


class Paper(StrEnum):
    """What it is printed on."""

    A4 = "a4"
    A3 = "a3"
    LETTER = "letter"


class Resample(StrEnum):
    """How pixels become more pixels."""

    NEAREST = "nearest"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


def print_sheet(
    picture: Annotated[
        Path,
        typer.Argument(
            metavar="PICTURE | RUN",
            help="A picture, or the run folder of a campaign.",
            autocompletion=completion.runs,
        ),
    ],
    one_class: Annotated[
        str | None,
        typer.Option("--class", help="With a run: the class, by index, name or pattern."),
    ] = None,
    width_mm: Annotated[
        float,
        typer.Option(
            "--width-mm", help="Width of the picture on paper; the height follows from it."
        ),
    ] = 600.0,
    dpi: Annotated[int, typer.Option(help="Dots per inch.")] = 300,
    paper: Annotated[
        Paper,
        typer.Option(help="Paper size; larger pictures are tiled over pages with crop marks."),
    ] = Paper.A4,
    resample: Annotated[
        Resample,
        typer.Option(
            help="How to enlarge pictures that cannot be drawn larger; nearest repeats each pixel."
        ),
    ] = Resample.NEAREST,
    out: Annotated[
        Path | None, typer.Option(help="A new folder (default: runs/print-NAME).")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The new path of the encoding's file, if it has moved.")
    ] = None,
) -> None:
    """Lay a picture out for print: a PDF at its true size, and a PNG at the given dpi.

    If the encoding of a campaign can draw at any size, its pictures are drawn again at the full
    resolution of the print.
    """
    from evofool.cli.running import free_folder
    from evofool.gallery import Moved
    from evofool.gallery.drawing.print_sheet import pages_line
    from evofool.gallery.drawing.print_sheet import print_sheet as lay_out

    sheet = lay_out(
        picture,
        out or free_folder(f"print-{picture.resolve().stem}"),
        one_class,
        width_mm=width_mm,
        dpi=dpi,
        paper=paper.value,
        resample=resample.value,
        moved=Moved(encoding=encoding),
    )
    answer(str(sheet.pdf), str(sheet.png), pages_line(sheet), sheet.how)
