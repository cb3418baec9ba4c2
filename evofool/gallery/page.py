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
from evofool.gallery.document import Room, cut, document, headline
from evofool.text import bare, percent, printable

_TEMPLATES = Path(__file__).parent / "templates"


def page(
    rooms: Sequence[Room],
    *,
    served: bool = False,
    assets: Mapping[str, str] | None = None,
    heading: str | None = None,
) -> str:
    """The page as HTML text.

    Args:
        rooms: what is shown, one a run.
        served: made for a server that tells news (`evofool.gallery.live`).
        assets: data URIs by path, for a page that carries its pictures inside itself.
        heading: what stands above everything, instead of `title`.
    """
    script, style = _text("gallery.js"), _text("gallery.css")
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
            data=document(rooms, served=served),
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
        f"script-src 'sha256-{_hash('gallery.js')}'",
        f"style-src 'sha256-{_hash('gallery.css')}'",
        "img-src 'self' data:" + ("" if served else " file:"),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if served:
        parts.append("connect-src 'self'")
    return "; ".join(parts)


def title(rooms: Sequence[Room]) -> str:
    """What stands above everything."""
    victims = list(dict.fromkeys(cut(room.collection.victim, 80) for room in rooms))
    if not victims:
        return "An empty gallery"
    if len(victims) == 1:
        return f"Pictures that fool {victims[0]}"
    if len(victims) == 2:
        return f"Pictures that fool {victims[0]} and {victims[1]}"
    return f"Pictures that fool {len(victims)} classifiers"


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _hash(name: str) -> str:
    return base64.b64encode(hashlib.sha256(_text(name).encode()).digest()).decode()


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
        percent=percent, printable=printable, bare=bare, attack_table=attack_table
    )
    return environment
