"""From a run folder to pictures and pages.

`build` reads a run folder and writes its gallery there through the store; `page` and
`contact_sheet` take plain values and return text and pixels.
"""

from __future__ import annotations

from evofool.gallery.build import Gallery, build
from evofool.gallery.page import Elite, GalleryRun, page
from evofool.gallery.sheet import Tile, contact_sheet, contact_sheet_png

__all__ = [
    "Elite",
    "Gallery",
    "GalleryRun",
    "Tile",
    "build",
    "contact_sheet",
    "contact_sheet_png",
    "page",
]
