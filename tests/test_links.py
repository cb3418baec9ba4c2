"""Links between the documents hold: files are there, and so are the headings that anchors name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "gallery").glob("*.md")]
)
ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:")


def links(text: str) -> Iterator[str]:
    """All that Markdown links to, outside of code: pictures too, and HTML's `src` and `href`."""
    from markdown_it import MarkdownIt

    def walk(tokens: list[object]) -> Iterator[str]:
        for token in tokens:
            attributes = getattr(token, "attrs", {})
            yield from (str(attributes[key]) for key in ("href", "src") if key in attributes)
            if getattr(token, "type", "") in ("html_block", "html_inline"):
                found = re.findall(r'(?:href|src)="([^"]+)"', getattr(token, "content", ""))
                yield from found
            yield from walk(getattr(token, "children", None) or [])

    yield from walk(list(MarkdownIt("commonmark").enable("table").parse(text)))


def anchors(text: str) -> set[str]:
    """The names that headings have on GitHub and on the site."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    names: set[str] = set()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            plain = "".join(child.content for child in inline.children or [])
            slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
            while slug in names:
                slug += "-1"
            names.add(slug)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page.read_text(encoding="utf-8")):
        if ELSEWHERE.match(link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or not target.is_relative_to(ROOT):
            broken.append(link)
        elif anchor and target.suffix == ".md":
            text = target.read_text(encoding="utf-8")
            broken += [link] if anchor not in anchors(text) else []
    assert not broken


def test_a_broken_link_is_seen() -> None:
    text = (
        "[a](x.md#one-two)\n\n<img src='no.png'><img src=\"no.png\">\n\n`[b](y.md)`\n\n![c](z.png)"
    )
    assert list(links(text)) == ["x.md#one-two", "no.png", "z.png"]
    assert anchors("# One `two`, three\n\n## Again\n\n## Again\n") == {
        "one-two-three",
        "again",
        "again-1",
    }
