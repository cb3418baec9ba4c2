"""``evofool gallery``: from a run folder to a contact sheet and a page inside it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evofool.errors import StoreError
from evofool.evolution.outputs import pictures_are_current, png_name, write_pictures
from evofool.evolution.restoring import open_shelf
from evofool.gallery.page import Elite, GalleryRun, page
from evofool.gallery.sheet import Tile, contact_sheet_png
from evofool.images import decode_png
from evofool.scoring.scorer import usable_cores
from evofool.store import RunFolder
from evofool.store.runfolder import CONFIG


@dataclass(frozen=True)
class Gallery:
    """Where the parts of a gallery lie."""

    page: Path
    contact_sheet: Path
    pictures: int


def build(path: Path | str, top: int | None = None) -> Gallery:
    """Write ``gallery/index.html`` and ``gallery/contact-sheet.png`` into a run folder.

    Pictures that are missing or older than the elites are drawn anew; the victim is not needed.

    Args:
        path: the run folder.
        top: how many pictures the contact sheet shows, the surest first; all by default.

    Raises:
        StoreError: no run folder, a damaged one, or one without any elite yet.
        ConfigError: its encoding cannot be had.
    """
    with RunFolder.open(Path(path)) as run:
        shelf = open_shelf(run)
        archive, labels = shelf.archive, shelf.labels
        if not archive.filled.any():
            raise StoreError(
                f"{run.path}: has no elites yet; go on with: evofool resume {run.path}"
            )
        if not pictures_are_current(run, archive):
            write_pictures(run, archive, shelf.render, shelf.encoding, labels, usable_cores())
        order = sorted(np.flatnonzero(archive.filled), key=lambda k: -archive.log_odds[k])
        confidence = archive.confidence
        elites = []
        for k in order:
            c, holder = int(archive.cells[k]), archive.holders[k]
            assert holder is not None
            elites.append(
                Elite(
                    c,
                    labels[c],
                    float(confidence[k]),
                    holder.id.generation,
                    f"../{png_name(c)}",
                    bool(archive.won[k]),
                )
            )
        tiles = [
            Tile(
                decode_png((run.path / png_name(e.class_index)).read_bytes()), e.label, e.confidence
            )
            for e in elites[:top]
        ]
        size = tiles[0].image.shape[1], tiles[0].image.shape[2]
        shown = GalleryRun(
            title=f"Fooling images: {run.manifest['classifier']['name']}",
            elites=elites,
            facts=_facts(run.manifest, run.summary() or {}),
            command=f"evofool evolve {shlex.quote(str(run.path / CONFIG))}",
            size=size,
        )
        index = run.write_file("gallery/index.html", page(shown).encode(), durable=False)
        sheet = run.write_file("gallery/contact-sheet.png", contact_sheet_png(tiles), durable=False)
        return Gallery(index, sheet, len(elites))


def _facts(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "victim": str(manifest["classifier"]["name"]),
        "encoding": str(manifest["encoding"]["name"]),
    }
    for key in ("algorithm", "status", "evaluations", "generations"):
        if key in summary:
            value = summary[key]
            facts[key] = f"{value:,}" if isinstance(value, int) else str(value)
    if isinstance(summary.get("seconds"), int | float):
        facts["seconds"] = f"{summary['seconds']:.0f}"
    facts["seed"] = str(manifest.get("seed"))
    facts["weights"] = str(manifest["classifier"]["digest"])[:12]
    if summary.get("archive_digest"):
        facts["archive"] = str(summary["archive_digest"])[:12]
    return facts
