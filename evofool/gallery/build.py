"""``evofool gallery``: from a run folder to a contact sheet and a page inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.errors import StoreError
from evofool.evolution.outputs import png_name
from evofool.gallery.page import Elite, GalleryRun, page
from evofool.gallery.sheet import Tile, contact_sheet_png
from evofool.images import decode_png
from evofool.store import RunFolder


@dataclass(frozen=True)
class Gallery:
    """Where the parts of a gallery lie."""

    page: Path
    contact_sheet: Path
    pictures: int


def build(path: Path | str, top: int | None = None) -> Gallery:
    """Write ``gallery/index.html`` and ``gallery/contact-sheet.png`` into a run folder.

    Args:
        path: the run folder.
        top: how many pictures the contact sheet shows, the surest first; all by default.

    Raises:
        StoreError: no run folder, or one that has no pictures yet.
    """
    with RunFolder.open(Path(path)) as run:
        labels = run.manifest.get("classifier", {}).get("labels", [])
        elites = []
        for row in sorted(run.archive().elites, key=lambda e: (-e.log_odds, e.class_index)):
            name = png_name(row.class_index)
            if not (run.path / name).is_file():
                continue
            known = isinstance(labels, list) and row.class_index < len(labels)
            label = str(labels[row.class_index]) if known else str(row.class_index)
            elites.append(
                Elite(
                    row.class_index, label, row.confidence, row.id.generation, f"../{name}", row.won
                )
            )
        if not elites:
            raise StoreError(
                f"{run.path}: has no pictures yet; let the campaign end: evofool resume {run.path}"
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
            command=str(run.manifest.get("command") or ""),
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
