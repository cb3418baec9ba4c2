"""``evofool serve`` and campaigns against it as processes: signals, exit codes, secrets."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stub_services import LABELS, METADATA, Asked, Reply, answered, stub

TOYS = Path(__file__).parents[1] / "toys" / "exact.py"
SECRET = "s3cr3t-0123456789-never-told"


@pytest.fixture
def served(start_evofool: Any, until: Any, tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """A server process and where it is."""
    out = tmp_path / "out"
    command = ("serve", f"{TOYS}:victim", "--port", "0", "--log", tmp_path / "log")
    process = start_evofool(*command, stdout=out, cwd=tmp_path)
    until(process, lambda: out.is_file() and "http://" in out.read_text())
    found = re.search(r"http://\S+", out.read_text())
    assert found
    yield process, found[0]
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)


def test_it_ends_at_sigterm(served: tuple[Any, str], tmp_path: Path) -> None:
    process, url = served
    assert httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ok"
    process.send_signal(signal.SIGTERM)
    ended = process.end()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "GET /health 200 pictures=0" in (tmp_path / "log").read_text()


def test_what_cannot_be_served(fails: Any, tmp_path: Path) -> None:
    assert "cannot be written" in fails(2, "serve", "mnist-lenet", "--log", tmp_path / "no" / "log")
    assert "cannot be listened on" in fails(
        2, "serve", f"{TOYS}:victim", "--host", "256.0.0.1", "--port", "0"
    )


def test_a_secret_is_nowhere_to_be_found(evofool: Any, tmp_path: Path) -> None:
    """Not in the run folder, and in no output, though the service sends it back and all is told."""

    def respond(asked: Asked, number: int) -> Reply:
        assert asked.headers["authorization"] == f"Bearer {SECRET}"
        if asked.method == "GET":
            return Reply({**METADATA, "input_shape": [1, 28, 28]})
        if number > 12:
            return Reply({"error": f"no quota for {asked.headers['authorization']}"}, 403)
        if number % 3 == 0:
            return Reply({"labels": [SECRET, *LABELS[1:]], "scores": [[0, 0, 1]]})
        return Reply(answered(asked.body))

    with stub(respond) as service:
        (tmp_path / "c.yaml").write_text(
            f"classifier: {{http: {{url: '{service.url}', auth: {{env: THE_KEY}},"
            " backoff: {first: 0.001, most: 0.002}}}\n"
            "encoding: {name: direct}\nevolution: {initial: 20, children: 20}\n"
            "stop: {generations: 30}\nseed: 1\n"
        )
        run = tmp_path / "run"
        done = evofool("--debug", "evolve", tmp_path / "c.yaml", "--out", run, THE_KEY=SECRET)
    assert done.returncode != 0
    assert "no quota for Bearer ***" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    files = [path for path in run.rglob("*") if path.is_file()]
    assert {"config.yaml", "run.sqlite", "answers.sqlite"} <= {path.name for path in files}
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert "THE_KEY" in (run / "config.yaml").read_text()
