"""What the pages of all experiments have in common: templates, style, security.

What comes from configs and nets may be hostile: jinja2 escapes all text, there is no script, and
a Content-Security-Policy allows this style by its hash, pictures beside the page, nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2

from evofool.text import bare, printable, probability

_TEMPLATES = Path(__file__).parent / "templates"
PAGE = "report/index.html"
"""Where a page lies in its run folder."""


def policy() -> str:
    """The Content-Security-Policy of a page."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src 'sha256-{digest}'",
            "img-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


@cache
def style() -> str:
    """The style of every page."""
    return (_TEMPLATES / "defend.css").read_text(encoding="utf-8")


def environment() -> jinja2.Environment:
    """For the templates, with the filters ``printable``, ``bare`` and ``rate``."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(printable=printable, bare=bare, rate=_rate, probability=probability)
    return found


def _rate(value: float) -> str:
    """A share in per cent, one place after the point."""
    return f"{100 * value:.1f} %"
