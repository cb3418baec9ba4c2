"""From run folders to pictures and pages.

`build` reads run folders and writes a gallery; `html_page` and `contact_sheet` take plain values
and return text and pixels.
"""

from __future__ import annotations

from evofool.gallery.build import Gallery, Options, build
from evofool.gallery.drawing.sheet import Tile, contact_sheet, contact_sheet_png
from evofool.gallery.page.html import html_page
from evofool.gallery.reading.exhibits import Moved

__all__ = [
    "Gallery",
    "Moved",
    "Options",
    "Tile",
    "build",
    "contact_sheet",
    "contact_sheet_png",
    "html_page",
]
