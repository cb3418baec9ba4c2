"""One page with everything inside it, to be mailed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evofool.errors import UsageError
from evofool.gallery.page.document import RunView
from evofool.gallery.page.html import html_page
from evofool.gallery.page.outlets import MemoryOutlet, Outlet
from evofool.text import counted

MAX_BYTES = 25_000_000
"""Largest page: what most mail servers still carry."""
_TYPES = {"png": "image/png", "webp": "image/webp", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Single:
    """A page and how many pictures it holds."""

    page: bytes
    pictures: int


def inlined(write: Callable[[Outlet], Sequence[RunView]], heading: str | None = None) -> Single:
    """One HTML file with every file that `write` makes inside; `heading` as in `html_page`.

    Raises:
        UsageError: it would be larger than `MAX_BYTES`; the message says how many pictures fit.
    """
    outlet = MemoryOutlet()
    views = write(outlet)
    count = sum(len(view.shown) for view in views)
    inside = sum(4 * len(data) // 3 for data in outlet.files.values())
    if inside > MAX_BYTES:
        _refuse(inside, count, len(views))
    assets = {name: _uri(name, data) for name, data in outlet.files.items()}
    html = html_page(views, assets=assets, heading=heading).encode("utf-8", "replace")
    if len(html) > MAX_BYTES:
        _refuse(len(html), count, len(views))
    return Single(html, count)


def _refuse(size: int, count: int, runs: int) -> None:
    fits = max(1, int(0.9 * count * MAX_BYTES / size / runs))
    raise UsageError(
        f"one file with all {counted(count, 'picture')} would have {size / 1e6:.0f} MB, more than"
        f" the {MAX_BYTES / 1e6:.0f} MB that can be mailed; show the surest: --top {fits}"
    )


def _uri(name: str, data: bytes) -> str:
    kind = _TYPES[name.rpartition(".")[2]]
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
