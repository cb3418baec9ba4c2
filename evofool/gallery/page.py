"""The page: one HTML file with its style, script and data, complete but for its pictures.

What comes from run folders may be hostile. jinja2 escapes text and `tojson` the data; the script
makes text nodes only; a Content-Security-Policy allows this style and this script by their hashes,
pictures beside the page, and nothing else (a served page may also ask its own server for news).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from evofool.gallery.attack_document import table as attack_table
from evofool.gallery.document import Live, Room, cut, document, headline
from evofool.gallery.naming import display_names
from evofool.text import bare, counted, percent, printable

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("base", "tiles", "grid", "detail", "live", "start")
"""Parts of the page's one script, in order; they share a scope."""


def page(
    rooms: Sequence[Room],
    *,
    live: Live | None = None,
    assets: Mapping[str, str] | None = None,
    heading: str | None = None,
) -> str:
    """The page as HTML text.

    Args:
        rooms: what is shown, one a run.
        live: of a page for a server that tells news (`evofool.gallery.live`).
        assets: data URIs by path, for a page that carries its pictures inside itself.
        heading: what stands above everything, instead of `title`.
    """
    served = live is not None
    script, style = _script(), _style()
    return (
        _environment()
        .get_template("gallery.html")
        .render(
            title=title(rooms) if heading is None else cut(heading),
            lede=[(room.collection, headline(room)) for room in rooms],
            rooms=rooms,
            count=sum(len(room.shown) for room in rooms),
            evolved=not rooms or any(room.collection.attacks is None for room in rooms),
            attacked=any(room.collection.attacks is not None for room in rooms),
            data=document(rooms, live=live),
            assets=dict(assets or {}),
            script=script,
            style=style,
            policy=policy(served=served),
            served=served,
        )
    )


def policy(*, served: bool = False) -> str:
    """The Content-Security-Policy of a page."""
    parts = [
        "default-src 'none'",
        f"script-src 'sha256-{_hash(_script())}'",
        f"style-src 'sha256-{_hash(_style())}'",
        "img-src 'self' data:" + ("" if served else " file:"),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if served:
        parts.append("connect-src 'self'")
    return "; ".join(parts)


def is_of_this_version(html: str) -> bool:
    """Whether a page has the style and script of this version, all that our policy allows."""
    return _hash(_script()) in html and _hash(_style()) in html


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
def _script() -> str:
    parts = "\n".join(_read(f"{name}.js") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


@cache
def _style() -> str:
    return _read("gallery.css")


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    kwargs: dict[str, Any] = {"sort_keys": False, "allow_nan": False, "separators": (",", ":")}
    environment.policies["json.dumps_kwargs"] = kwargs
    environment.filters.update(
        percent=percent, printable=printable, bare=bare, counted=counted, attack_table=attack_table
    )
    return environment
