"""HTML pages: how templates are rendered, their style, and their Content-Security-Policy.

Labels, commands and configs come from run folders and nets and may be hostile. jinja2 escapes all
text and `tojson` all data; a Content-Security-Policy allows the page's own style and script by
their hashes, pictures beside the page, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2

from evofool.report.theme import custom_properties
from evofool.text import bare, counted, percent, printable, probability, rate

TEMPLATES = Path(__file__).parent / "templates"
"""What all pages share: ``base.html``, ``report.html``, ``parts.html``, ``theme.css``..."""
IMAGES_BESIDE = "'self' file:"
"""Pictures that lie beside a page, also where it is opened from disk."""


@dataclass(frozen=True)
class Pages:
    """Templates of pages that share a style and a script.

    Attributes:
        templates: a folder of templates, which may extend and import those of `TEMPLATES`.
        sheets: style sheets by name, in order, of `templates` or of `TEMPLATES`; the theme comes
            before them.
        script: the one script of the pages, if any.
        images: where pictures may come from, as in a Content-Security-Policy.
    """

    templates: Path = TEMPLATES
    sheets: tuple[str, ...] = ("table.css", "report.css")
    script: str = ""
    images: str = IMAGES_BESIDE

    @cached_property
    def style(self) -> str:
        """The style of every page: the theme, then `sheets`."""
        return stylesheet(*(self._file(name) for name in self.sheets))

    def policy(self, *, connect: str = "") -> str:
        """The Content-Security-Policy of a page; `connect`: whom its script may ask for news."""
        return policy(self.style, script=self.script, images=self.images, connect=connect)

    def render(self, template: str, *, connect: str = "", **values: Any) -> str:
        """A page as HTML text.

        Args:
            template: by name.
            connect: as `policy`.
            values: of the template, beside ``style``, ``script`` and ``policy``, which are there.

        Raises:
            jinja2.UndefinedError: the template needs a value that is not there.
        """
        return (
            environment(self.templates)
            .get_template(template)
            .render(
                style=self.style,
                script=self.script,
                policy=self.policy(connect=connect),
                **values,
            )
        )

    def made(self, html: str) -> bool:
        """Whether a page has this very style and script, all that our policy allows."""
        texts = (self.style, self.script) if self.script else (self.style,)
        return all(_hash(text) in html for text in texts)

    def _file(self, name: str) -> Path:
        own = self.templates / name
        return own if own.is_file() else TEMPLATES / name


@cache
def environment(templates: Path = TEMPLATES) -> jinja2.Environment:
    """For the templates of a folder and the shared ones.

    All text is escaped, and a value that is missing is an error. Filters: ``printable``, ``bare``,
    ``counted``, ``percent``, ``probability``, ``rate`` of `evofool.text`, and `prose`.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader((templates, TEMPLATES)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    json: dict[str, Any] = {"sort_keys": False, "allow_nan": False, "separators": (",", ":")}
    made.policies["json.dumps_kwargs"] = json
    made.filters.update(
        printable=printable,
        prose=prose,
        bare=bare,
        counted=counted,
        percent=percent,
        probability=probability,
        rate=rate,
    )
    return made


def prose(text: str) -> str:
    """A sentence as `printable`, in which no line ends between a number and its per cent sign."""
    return printable(text).replace(" %", "\u00a0%")


def stylesheet(*sheets: Path) -> str:
    """The theme as CSS, then `sheets` in order."""
    files = (TEMPLATES / "theme.css", *sheets)
    return custom_properties() + "".join(file.read_text(encoding="utf-8") for file in files)


def policy(style: str, *, script: str = "", images: str = IMAGES_BESIDE, connect: str = "") -> str:
    """A Content-Security-Policy that allows one style and one script, by their hashes.

    Args:
        style: all CSS of the page.
        script: all of its JavaScript; empty: it may run none.
        images: where pictures may come from.
        connect: whom the script may ask for news; empty: nobody.
    """
    allowed: Mapping[str, str] = {
        "default-src": "'none'",
        "script-src": f"'sha256-{_hash(script)}'" if script else "",
        "style-src": f"'sha256-{_hash(style)}'",
        "img-src": images,
        "base-uri": "'none'",
        "form-action": "'none'",
        "connect-src": connect,
    }
    return "; ".join(f"{name} {sources}" for name, sources in allowed.items() if sources)


@cache
def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
