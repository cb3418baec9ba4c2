"""The blocks of code in the project's documents, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "gallery" / "README.md"])
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<excuse>.+?) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: the document.
        line: the number of its first line of code, from 1.
        language: what stands behind the fence; of commands nothing.
        text: the code.
        excuse: why it cannot run, where the document says so.
    """

    page: Path
    line: int
    language: str
    text: str
    excuse: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """All of a document, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(
            page,
            text[: match.start("text")].count("\n") + 1,
            match["language"],
            match["text"],
            match["excuse"],
        )
        for match in BLOCK.finditer(text)
    ]
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(found), page
    return found


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a block, without what only says where it runs."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            if found := _bare(words[:end]):
                yield found
            words = words[end + 1 :]


def _bare(words: list[str]) -> list[str]:
    if words and words[0] == "timeout":
        words = words[next(k for k, word in enumerate(words) if re.fullmatch(r"\d+[smh]", word)) :]
        words = words[1:]
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[:2] == ["uv", "run"]:
        words = words[2:]
        while words and words[0].startswith("-"):
            words = words[2 if words[0] in ("--group", "--extra", "--python") else 1 :]
    return words
