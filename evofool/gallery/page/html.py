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
from evofool.gallery.page.document import Live, RunView, cut, document, headline
from evofool.gallery.page.naming import display_names
from evofool.report.page import IMAGES_BESIDE, Pages

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("base", "tiles", "grid", "detail", "live", "start")
"""Parts of the page's one script, in order; they share a scope."""


def html_page(
    views: Sequence[RunView],
    *,
    live: Live | None = None,
    assets: Mapping[str, str] | None = None,
    heading: str | None = None,
) -> str:
    """The page as HTML text.

    Args:
        views: what is shown, one a run.
        live: of a page for a server that tells news (`evofool.gallery.live.server`).
        assets: data URIs by path, for a page that carries its pictures inside itself.
        heading: what stands above everything, instead of `title`.
    """
    served = live is not None
    return _pages(served).render(
        "gallery.html",
        connect=_connect(served),
        title=title(views) if heading is None else cut(heading),
        lede=[(view.collection, headline(view)) for view in views],
        views=views,
        count=sum(len(view.shown) for view in views),
        evolved=not views or any(view.collection.attacks is None for view in views),
        attacked=any(view.collection.attacks is not None for view in views),
        attack_table=attack_table,
        data=document(views, live=live),
        assets=dict(assets or {}),
        served=served,
    )


def policy(*, served: bool = False) -> str:
    """The Content-Security-Policy of a page."""
    return _pages(served).policy(connect=_connect(served))


def is_of_this_version(html: str) -> bool:
    """Whether a page has the style and script of this version, all that our policy allows."""
    return _pages(served=False).made(html)


def title(views: Sequence[RunView]) -> str:
    """What stands above everything."""
    names = display_names([view.collection.victim for view in views])
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
