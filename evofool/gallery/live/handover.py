"""What a live view leaves behind: the finished gallery it points to, and pages that hold the last
pictures before the server goes."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from evofool.files import read_file
from evofool.gallery.page.html import is_of_this_version

ALIVE_SECONDS = 5.0
"""A page that has asked for news within this time is still open: it asks every two seconds."""
MOST_SECONDS = 20.0
"""Longest wait for pages that are open."""
MAX_PAGES = 64
PREFIX = "/finished/"
PAGE = "gallery/index.html"
_STEM = r"[0-9]{4,12}"
_FILE = re.compile(
    rf"gallery/index\.html|gallery/(contact-sheet|(convergence|by-class)(-dark)?)\.png"
    rf"|gallery/elites\.csv|config\.yaml|(gallery/pictures|images)/{_STEM}\.png"
    rf"|gallery/thumbs/{_STEM}\.webp|gallery/ancestry/{_STEM}(-film)?\.webp"
    rf"|gallery/graphs/{_STEM}\.svg"
)
"""Everything that the gallery of a campaign points to, and nothing else."""
_TYPES = {
    ".html": "text/html", ".png": "image/png", ".webp": "image/webp", ".svg": "image/svg+xml",
    ".csv": "text/csv", ".yaml": "text/plain",
}  # fmt: skip


class FinishedGallery:
    """The gallery that lies in a run folder, as files that a server may hand out."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._checked: tuple[int, bool] = (-1, False)

    def is_there(self) -> bool:
        """Whether it was made after the run ended, by this version of evofool: a server's policy
        allows the script of this version only."""
        try:
            made = (self._run / PAGE).stat().st_mtime_ns
            if made < (self._run / "summary.json").stat().st_mtime_ns:
                return False
        except OSError:
            return False
        if self._checked[0] != made:
            page = self.file(PREFIX + PAGE)
            ours = page is not None and is_of_this_version(page[0].decode("utf-8", "replace"))
            self._checked = made, ours
        return self._checked[1]

    def file(self, path: str) -> tuple[bytes, str] | None:
        """Content and type of what a request names; None for all but the gallery's own files.

        Links are not followed: a run folder may be anyone's.
        """
        name = path.removeprefix(PREFIX)
        if not path.startswith(PREFIX) or not _FILE.fullmatch(name):
            return None
        file = self._run.resolve() / name
        try:
            if file.resolve() != file:
                return None
            return read_file(file), _TYPES[file.suffix]
        except OSError:
            return None


@dataclass
class _Page:
    asked: float
    kept: str


class OpenPages:
    """Pages that ask for news, and the version of which each has loaded every picture."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pages: dict[str, _Page] = {}

    def asked(self, page: str, kept: str) -> None:
        """A page has asked for news; `kept` is the version whose pictures it has."""
        with self._changed:
            self._pages.pop(page, None)
            self._pages[page] = _Page(time.monotonic(), kept)
            while len(self._pages) > MAX_PAGES:
                self._pages.pop(next(iter(self._pages)))
            self._changed.notify_all()

    def wait(self, version: str) -> None:
        """Until every open page has the pictures of `version`, at most `MOST_SECONDS`."""
        end = time.monotonic() + MOST_SECONDS
        with self._changed:
            while (now := time.monotonic()) < end:
                waited = [
                    page.asked + ALIVE_SECONDS - now
                    for page in self._pages.values()
                    if page.kept != version
                ]
                left = max(waited, default=0.0)
                if left <= 0:
                    return
                self._changed.wait(min(left, end - now))
