"""``evofool export``: the pictures of a run for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from evofool.cli.arguments import RunPath
from evofool.cli.terminal import answer


class Format(StrEnum):
    """What pictures are written as."""

    IMAGEFOLDER = "imagefolder"
    NPZ = "npz"
    PARQUET = "parquet"
    CARD = "card"


def export(
    run: RunPath,
    out: Annotated[
        Path,
        typer.Option(
            help="Where to write: a new folder for imagefolder, otherwise a file ending in"
            " .npz, .parquet or .md."
        ),
    ],
    format: Annotated[
        Format,
        typer.Option(
            help="imagefolder: PNGs with metadata.csv and a card; npz: arrays; parquet: a table"
            " that contains the pictures; card: a description of the pictures in Markdown."
        ),
    ] = Format.IMAGEFOLDER,
    encoding: Annotated[
        str | None, typer.Option(help="The new path of the encoding's file, if it has moved.")
    ] = None,
) -> None:
    """Write the pictures of a run of evolve or attack as a data set that other programs read."""
    from evofool.experiments.export import export as write

    answer(str(write(run, out, format.value, encoding=encoding)))
