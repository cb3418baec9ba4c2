"""Run folders for galleries, made through the store; and pages in a browser."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

from evofool.encodings import load
from evofool.evolution.campaign import evolve
from evofool.evolution.randomness import Stream, generator
from evofool.store import (
    CampaignFolder,
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MakeRun: TypeAlias = Callable[..., Path]

PATIENCE_MS = 600_000
"""Until a page is given up; on a busy machine a browser takes its time."""

HOSTILE = (
    "</script><img src=x onerror=document.title=1>",
    '" onload="document.title=1" x="',
    "</style><script>document.title=1</script>",
    "{{ 7 * 7 }}",
    "\u202egnp.elif\u2066",
    "two\nlines\x00\x1b[31m",
    "x" * 300,
    "שלום",
    "=HYPERLINK(1)",
    "<!--<script>",
)


def make_run(
    path: Path, labels: Sequence[str], *, side: int = 8, seed: int = 5, won: int | None = None
) -> Path:
    """A run of one generation of random pictures, one a label, with confidences from 0 to 1."""
    shape = (1, side, side)
    encoding = load("direct", shape)
    count = len(labels)
    confidence = np.linspace(0.999, 0.001, count) if count > 1 else np.array([0.5])
    individuals, wins, elites = [], [], {}
    for c in range(count):
        own = IndividualId(0, c)
        dump = encoding.dump(encoding.sample(generator(seed, Stream.SAMPLE, 0, c)))
        individuals.append(IndividualRow(own, (), (), hashlib.sha256(dump).digest(), dump))
        p = float(confidence[c])
        odds = float(np.log(p / (1 - p)))
        wins.append(WinRow(own, c, odds, p, None))
        elites[c] = EliteRow(c, own, odds, odds, p, c < (count if won is None else won))
    manifest: dict[str, Any] = {
        "kind": "evolve", "run_id": "0123456789abcdef", "seed": seed, "command": "evofool evolve x",
        "classifier": {
            "name": "elsewhere.py:victim", "digest": "0" * 64, "input_shape": list(shape),
            "labels": list(labels),
        },
        "encoding": {"name": "direct"},
    }  # fmt: skip
    config = (
        "classifier: {name: 'elsewhere.py:victim'}\nencoding: {name: direct}\n"
        f"evolution: {{initial: {max(2, count)}, children: 2}}\n"
        f"stop: {{generations: 1}}\nseed: {seed}\n"
    )
    with CampaignFolder.create(path, manifest, config) as run:
        if count:
            run.commit(
                Delta(
                    [GenerationRow(0, count, count, 8, 1.0, {})],
                    individuals,
                    wins,
                    elites,
                    meta={"status": "finished"},
                )
            )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> MakeRun:
    """``folder("name", labels)``: a made-up run folder."""
    return lambda name, labels, **more: make_run(tmp_path / name, labels, **more)


@pytest.fixture(scope="module")
def toy_run(
    tmp_path_factory: pytest.TempPathFactory, toy_campaign: Callable[..., dict[str, Any]]
) -> Path:
    """A real campaign against the toy, with ancestry."""
    path = tmp_path_factory.mktemp("toy") / "toy"
    evolve(toy_campaign(), path)
    return path


class Visit:
    """A page, and all that went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.requests: list[str] = []
        page.on(
            "console",
            lambda m: self.faults.append(m.text) if m.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path, fragment: str = "") -> Page:
        """Open a file and wait until every tile is there."""
        self.page.goto("about:blank")
        self.page.goto(path.resolve().as_uri() + fragment)
        self.ready()
        return self.page

    def ready(self) -> None:
        """Wait until every tile is there."""
        self.page.wait_for_selector("html[data-ready]")

    def tiles(self) -> list[str]:
        """The names of the tiles in their order.

        Read from the document, not from what is drawn: a tile that the browser has not laid out
        yet (``content-visibility: auto``) has no inner text.
        """
        self.ready()
        return self.page.locator("#pictures .name").all_text_contents()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A desktop page that must stay without errors and requests that leave the machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    visit = Visit(context.new_page())
    yield visit
    context.close()
    assert visit.faults == []
    assert all(
        url.startswith(("file:", "data:", "about:", "http://127.0.0.1:")) for url in visit.requests
    )
