"""Tiny deterministic victims and campaigns that the tests of all folders share."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

# OpenMP's threads sleep while they wait for each other; else they spin, and on cores that others
# use too a training of 3 seconds takes 14. Read when torch is loaded, and by children.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Ray's own choice is 15: beside other programs its workers then get next to nothing.
os.environ.setdefault("RAY_worker_niceness", "0")
# Nor does it end workers of a test because other programs take the machine's memory.
os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")

# Containers are often set up to keep no bytecode. Then every worker, and every process a test
# starts, compiles the libraries anew: seconds each time. It is kept here, beside what pytest keeps.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".pytest_cache/bytecode")
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

import pytest
import torch
from hypothesis import HealthCheck, settings

from evofool.classifiers import Classifier, load_classifier
from evofool.scoring import Scorer

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    from playwright.sync_api import Browser, Page

HAS_GPU = torch.cuda.is_available()
TOYS = Path(__file__).parent / "toys" / "exact.py"


MakeScorer: TypeAlias = Callable[..., Scorer]
PATIENCE = 600.0
"""Seconds until a test gives up on something that does happen when all is well."""

settings.register_profile(
    "any machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


class Polled(Protocol):
    """A process that can be asked for its exit code: None while it runs."""

    def poll(self) -> int | None: ...


Until: TypeAlias = Callable[[Polled, Callable[[], bool]], None]


def pytest_configure() -> None:
    """Temporary folders lie in memory where it has room.

    Tests that keep runs wait for the disk half of their time otherwise.
    """
    memory = Path("/dev/shm")
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and os.access(memory, os.W_OK):
        room = os.statvfs(memory)
        if room.f_bavail * room.f_frsize > 4 << 30 and not room.f_flag & os.ST_NOEXEC:
            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(memory)


@pytest.fixture(autouse=True)
def _only_tests_for_a_gpu_see_one(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `auto` chooses is the same on every machine, but in tests marked `gpu`."""
    if request.node.get_closest_marker("gpu"):  # keywords hold names of folders too
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
        running = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=1000 * PATIENCE
        )
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

    def wait(process: Polled, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert process.poll() is None, "the process ended first"
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray on this machine with two cores, joined by this process for all tests of a module."""
    pytest.importorskip("ray")
    from evofool.ray_session import session

    with session(cpus=2) as ray:
        yield ray


PRELOADED = (
    *("torch", "torchvision", "torch.export", "numba", "cv2", "onnxruntime", "matplotlib.figure"),
    *("evofool", "evofool.cli.app", "evofool.evolution.campaign", "evofool.gallery"),
    *("scipy.optimize", "rich.progress", "evofool.render.kernel", "evofool.evolution.verify"),
    *("evofool.experiments.defend.study", "evofool.experiments.attack", "evofool.attacks.registry"),
)
START = """
import os, signal, sys

os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
for number, file in enumerate(streams):
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    os.dup2(descriptor, number)
    os.close(descriptor)
sys.stdin = sys.__stdin__ = open(0, closefd=False)
sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)
sys.stderr = sys.__stderr__ = open(2, "w", errors="backslashreplace", buffering=1, closefd=False)
sys.argv[:] = arguments
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):  # the latter is ignored where tests run under nohup
    signal.signal(number, signal.SIG_DFL)
exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
"""


@dataclass(frozen=True)
class Ended:
    """What a process left: its exit code, negative after a signal, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """A Python process of its own that did not have to import torch: see `forked`."""

    def __init__(self, process: ForkServerProcess, streams: tuple[Path, Path]) -> None:
        self._process = process
        self._streams = streams

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """As `os.kill` does."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """And wait until it is gone."""
        self._process.kill()
        self._process.join()

    def end(self) -> Ended:
        """Wait for its end."""
        self._process.join(PATIENCE)
        code = self._process.exitcode
        assert code is not None, "it does not end"
        return Ended(code, *(f.read_text() if f.is_file() else "" for f in self._streams))


class Start(Protocol):
    """What `forked` gives."""

    def __call__(
        self,
        code: str,
        *arguments: str | Path,
        cwd: Path | None = None,
        stdout: Path | None = None,
        stderr: Path | None = None,
        **environment: str,
    ) -> Forked: ...


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """``forked(code, argument, ..., cwd=..., VARIABLE=...)``: starts a process that runs `code`.

    It is forked from a process in which what takes seconds to import is imported already and
    nothing has run yet, so it starts at once. All else is its own: signals, exit code, streams
    (files, unless `stdout` or `stderr` name others), environment and folder. Where an import is
    what is tested, or what the first use of a library decides, take ``python -c`` instead.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    folder = tmp_path_factory.mktemp("forked")
    started: list[ForkServerProcess] = []

    def start(
        code: str,
        *arguments: str | Path,
        cwd: Path | None = None,
        stdout: Path | None = None,
        stderr: Path | None = None,
        **environment: str,
    ) -> Forked:
        number = len(started)
        streams = (stdout or folder / f"{number}-out", stderr or folder / f"{number}-err")
        settings = {
            "code": code,
            "arguments": ["-c", *map(str, arguments)],
            "folder": str(cwd or Path.cwd()),
            "environment": {**os.environ, **environment},
            "streams": [os.devnull, *map(str, streams)],
        }
        process = context.Process(target=exec, args=(START, settings))
        started.append(process)
        process.start()
        return Forked(process, streams)

    yield start
    for process in started:
        if process.is_alive():
            process.kill()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("EVOFOOL_CACHE", str(folder))
