"""Checks a built site: its links lead somewhere, and no page loads anything from elsewhere.

python docs/site/check_links.py FOLDER
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|//", re.IGNORECASE)
LOADED = {"img", "script", "source", "iframe", "video", "audio", "embed"}
MADE_BY_SCRIPTS = ("gallery/", "reports/")
"""Pages of runs: what their anchors name comes to be when they are opened."""


@dataclass
class Found(HTMLParser):
    """What a page links to and can be linked by."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.names |= {values[name] for name in ("id", "name") if values.get(name)}
        loads = tag in LOADED or (tag == "link" and values.get("rel") in ("stylesheet", "icon"))
        for name in ("href", "src"):
            if name in values:
                (self.loads if loads else self.links).append(values[name])


def read(page: Path) -> Found:
    found = Found()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def faults(site: Path) -> list[str]:
    """One line a fault: the page, the link, and what is wrong with it."""
    site = site.resolve()
    pages = {page: read(page) for page in sorted(site.rglob("*.html"))}
    wrong = []
    for page, found in pages.items():
        where = page.relative_to(site).as_posix()
        wrong += [
            f"{where}: loads {link}: the site must be whole by itself"
            for link in found.loads
            if ELSEWHERE.match(link) and not link.startswith("data:")
        ]
        for link in [*found.links, *found.loads]:
            if ELSEWHERE.match(link):
                continue
            name, _, anchor = unquote(link).partition("#")
            name = name.partition("?")[0]
            base = site if name.startswith("/") else page.parent
            target = (base / name.lstrip("/")).resolve() if name else page
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file() or not target.is_relative_to(site):
                wrong.append(f"{where}: {link}: there is no such file")
            elif anchor and target in pages and not anchor.startswith("__"):
                made = target.relative_to(site).as_posix().startswith(MADE_BY_SCRIPTS)
                if not made and anchor not in pages[target].names:
                    wrong.append(f"{where}: {link}: there is no such heading")
    return wrong


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.stderr.write("usage: check_links.py FOLDER, that of a built site\n")
        return 2
    wrong = faults(Path(sys.argv[1]))
    sys.stderr.write("".join(f"{line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
