"""The page: one HTML file with its style, script and data, complete but for its pictures.

What comes from run folders may be hostile. jinja2 escapes text and `tojson` the data; the script
makes text nodes only; a Content-Security-Policy allows this style and this script by their hashes,
pictures beside the page, and nothing else (a served page may also ask its own server for news).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from evofool.gallery.page.attack_document import table as attack_table
from evofool.gallery.page.document import Live, Room, cut, document, headline
from evofool.gallery.page.naming import display_names
from evofool.report.page import IMAGES_BESIDE, Pages

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("base", "tiles", "grid", "detail", "live", "start")
"""Parts of the page's one script, in order; they share a scope."""


def html_page(
    rooms: Sequence[Room],
    *,
    live: Live | None = None,
    assets: Mapping[str, str] | None = None,
    heading: str | None = None,
) -> str:
    """The page as HTML text.

    Args:
        rooms: what is shown, one a run.
        live: of a page for a server that tells news (`evofool.gallery.live.server`).
        assets: data URIs by path, for a page that carries its pictures inside itself.
        heading: what stands above everything, instead of `title`.
    """
    served = live is not None
    return _pages(served).render(
        "gallery.html",
        connect=_connect(served),
        title=title(rooms) if heading is None else cut(heading),
        lede=[(room.collection, headline(room)) for room in rooms],
        rooms=rooms,
        count=sum(len(room.shown) for room in rooms),
        evolved=not rooms or any(room.collection.attacks is None for room in rooms),
        attacked=any(room.collection.attacks is not None for room in rooms),
        attack_table=attack_table,
        data=document(rooms, live=live),
        assets=dict(assets or {}),
        served=served,
    )


def policy(*, served: bool = False) -> str:
    """The Content-Security-Policy of a page."""
    return _pages(served).policy(connect=_connect(served))


def is_of_this_version(html: str) -> bool:
    """Whether a page has the style and script of this version, all that our policy allows."""
    return _pages(served=False).made(html)


def title(rooms: Sequence[Room]) -> str:
    """What stands above everything."""
    names = display_names([room.collection.victim for room in rooms])
    victims = [cut(name, 80) for name in names.values()]
    if not victims:
        return "An empty gallery"
    if len(victims) == 1:
        return f"Pictures that fool {victims[0]}"
    if len(victims) == 2:
        return f"Pictures that fool {victims[0]} and {victims[1]}"
    return f"Pictures that fool {len(victims)} classifiers"


@cache
def _pages(served: bool) -> Pages:
    parts = "\n".join(
        (_TEMPLATES / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS
    )  # fmt: skip
    return Pages(
        _TEMPLATES,
        ("table.css", "gallery.css"),
        script=f'"use strict";\n(() => {{\n{parts}}})();\n',
        images="'self' data:" if served else f"{IMAGES_BESIDE} data:",
    )


def _connect(served: bool) -> str:
    return "'self'" if served else ""
