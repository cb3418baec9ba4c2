"""Tiny deterministic victims and campaigns that the tests of all folders share."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import torch

from evofool.classifiers import Classifier, load_classifier
from evofool.scoring import Scorer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HAS_GPU = torch.cuda.is_available()
TOYS = Path(__file__).parent / "toys" / "exact.py"


MakeScorer: TypeAlias = Callable[..., Scorer]
Until: TypeAlias = "Callable[[subprocess.Popen[Any], Callable[[], bool]], None]"
PATIENCE = 600.0
"""Seconds until a test gives up on something that does happen when all is well."""


@pytest.fixture(autouse=True)
def _only_tests_for_a_gpu_see_one(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `auto` chooses is the same on every machine, but in tests marked `gpu`."""
    if "gpu" in request.keywords:
        if not HAS_GPU:
            pytest.skip("needs a CUDA device")
    elif HAS_GPU:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def make_scorer() -> Iterator[MakeScorer]:
    """`Scorer`, closed at the end of the test."""
    made: list[Scorer] = []

    def make(*args: object, **options: object) -> Scorer:
        scorer = Scorer(*args, **options)  # type: ignore[arg-type]
        made.append(scorer)
        return scorer

    yield make
    for scorer in made:
        scorer.close()


@pytest.fixture(scope="session")
def toy_victim() -> Classifier:
    """Seven classes on 1 x 6 x 6 pictures, exact: see tests/toys/exact.py."""
    return load_classifier(f"{TOYS}:victim")


@pytest.fixture(scope="session")
def toy_campaign() -> Callable[..., dict[str, Any]]:
    """A campaign against the toy; keywords replace whole sections."""

    def make(**sections: Any) -> dict[str, Any]:
        return {
            "classifier": {"name": f"{TOYS}:victim"},
            "encoding": {"name": f"{TOYS}:Bytes"},
            "evolution": {"initial": 20, "children": 20},
            "stop": {"generations": 12},
            "scoring": {"batch": 8, "workers": 2},
            "seed": 3,
            **sections,
        }

    return make


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, driven by playwright; where CI is set its absence is a failure.

    One for the whole session: playwright refuses a second one in the same thread.
    """
    pytest.importorskip("playwright", reason="playwright is in the dependency group dev")
    path = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if path is None:
        message = "no chromium: install Debian's package or set CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def eventually() -> Callable[[Page, str], None]:
    """Waits until an expression holds on a page.

    Not `wait_for_function`: from its second try on it calls eval in the page, which the policy of
    our pages forbids.
    """

    def wait(page: Page, expression: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not page.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            page.wait_for_timeout(50)

    return wait


@pytest.fixture(scope="session")
def until() -> Until:
    """``until(process, holds)``: waits for what a process brings about.

    Its end before that is a failure, and so is ten minutes without it: nothing is expected to
    happen within a time, since a machine may be as busy as it likes.
    """

    def wait(process: subprocess.Popen[Any], holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert process.poll() is None, "the process ended first"
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.02)

    return wait


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("EVOFOOL_CACHE", str(folder))
