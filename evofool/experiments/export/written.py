"""``evofool export``: the pictures of a run in one of four formats, at a place that is free."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from evofool.errors import FolderError, StoreError, UsageError
from evofool.experiments.export.arrays import npz_bytes
from evofool.experiments.export.card import card
from evofool.experiments.export.parquet import parquet_bytes
from evofool.experiments.export.pictures import Pictures, pictures_of
from evofool.experiments.results import open_run
from evofool.files import PathError, expanded, reason
from evofool.store import write_atomically
from evofool.text import csv_bytes, suggestion

FORMATS: Mapping[str, str] = MappingProxyType(
    {"imagefolder": "", "npz": ".npz", "parquet": ".parquet", "card": ".md"}
)
"""The formats, and how the name of the file ends; an image folder is a folder."""

_BESIDE = (
    "`metadata.csv` has a line per picture, `file_name` first. Where a text could be taken for a"
    " formula by a spreadsheet, an apostrophe stands before it. Hugging Face's `datasets` reads the"
    ' folder: `load_dataset("imagefolder", data_dir=FOLDER)`.'
)


def export(
    run: Path | str | os.PathLike[str],
    out: Path | str | os.PathLike[str],
    format: str = "imagefolder",
    *,
    encoding: str | None = None,
) -> Path:
    """Write the pictures of a run of evolve or attack for other programs; the victim is not needed.

    >>> evofool.export("runs/quickstart", "pictures")
    >>> evofool.export(run, "pictures.npz", "npz")

    Args:
        run: a run folder, or what `evolve`, `attack` or `open_run` returned.
        out: what is written, of which nothing may be there: for ``imagefolder`` a new or empty
            folder, else a file whose name ends as the format asks.
        format: ``imagefolder`` (PNGs, ``metadata.csv`` and a card), ``npz``, ``parquet`` (needs
            pyarrow) or ``card`` (Markdown).
        encoding: ``path/to/file.py:Class`` of a campaign's encoding, where its file has moved.

    Returns:
        `out`, written.

    Raises:
        UsageError: no such format, a wrong ending, a kind of run without pictures of its own, or
            pyarrow is missing.
        FolderError: there is no run, or `out` holds something already.
        StoreError: the run is damaged or has no picture yet, or `out` cannot be written.
        ConfigError: the encoding of a campaign cannot be had.
    """
    if format not in FORMATS:
        mend = suggestion(format[:80], FORMATS) or f"; there are {', '.join(FORMATS)}"
        raise UsageError(f"no format is called {format[:80]!r}{mend}")
    try:
        place = expanded(Path(out))
    except PathError as error:
        raise UsageError(f"--out {out}: {error}") from error
    _check_free(place, format)
    pictures = pictures_of(open_run(run), encoding)
    if format == "imagefolder":
        _write_folder(place, pictures)
    else:
        data = _FILES[format](pictures)
        _make(place.parent)
        write_atomically(place, data)
    return place


def _check_free(place: Path, format: str) -> None:
    ending = FORMATS[format]
    if ending and place.suffix.lower() != ending:
        raise UsageError(f"--out {place}: the name of a {format} file must end in {ending}")
    try:
        taken = any(place.iterdir()) if not ending and place.is_dir() else os.path.lexists(place)
    except OSError as error:
        raise FolderError(f"{place}: cannot be used ({reason(error)})") from error
    if taken:
        raise FolderError(f"{place}: is not empty; give another --out, or remove it")


def _write_folder(folder: Path, pictures: Pictures) -> None:
    """The table comes last: a folder that has it is whole."""
    _make(folder)
    for picture in pictures.rows:
        write_atomically(folder / picture.name, picture.png, durable=False)
    write_atomically(folder / "README.md", card(pictures, _BESIDE).encode())
    rows = (
        (picture.name, *(picture.facts[name] for name in pictures.columns))
        for picture in pictures.rows
    )
    write_atomically(folder / "metadata.csv", csv_bytes(("file_name", *pictures.columns), rows))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({reason(error)})") from error


_FILES: Mapping[str, Callable[[Pictures], bytes]] = MappingProxyType(
    {
        "npz": npz_bytes,
        "parquet": parquet_bytes,
        "card": lambda pictures: card(pictures).encode(),
    }
)
