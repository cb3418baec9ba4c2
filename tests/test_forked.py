"""The fixture `forked`: what it starts behaves as a process of Python's own would."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

LOOKS = """
import os, sys
assert "torch" in sys.modules, "it would take seconds"
assert sys.stdin.read() == ""
print(sys.argv[1:], os.getcwd(), os.environ["WORD"], os.getpid())
os.write(1, b"descriptor\\n")
print("remark", file=sys.stderr)
sys.exit(7)
"""
WAITS = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).touch(); signal.pause()"


def test_it_has_its_own_arguments_folder_environment_streams_and_exit_code(
    forked: Any, tmp_path: Path
) -> None:
    first, second = (forked(LOOKS, "a", 2, cwd=tmp_path, WORD="x y").end() for _ in range(2))
    assert (first.returncode, first.stderr) == (7, "remark\n")
    lines = first.stdout.splitlines()
    assert sorted(lines)[1] == "descriptor"
    *words, own = sorted(lines)[0].split()
    assert words == ["['a',", "'2']", str(tmp_path), "x", "y"]
    assert own not in second.stdout
    assert own != str(os.getpid())
    assert "WORD" not in os.environ


def test_an_error_is_a_traceback_and_an_exit_code(forked: Any, tmp_path: Path) -> None:
    ended = forked("raise ValueError('no')", stdout=tmp_path / "out").end()
    assert ended.returncode == 1
    assert "ValueError: no" in ended.stderr
    assert (tmp_path / "out").read_text() == ""


def test_signals_reach_it(forked: Any, until: Any, tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        waits = tmp_path / str(number)
        process = forked(WAITS, waits)
        until(process, waits.exists)
        assert process.poll() is None
        process.send_signal(number)
        assert process.end().returncode == -number
