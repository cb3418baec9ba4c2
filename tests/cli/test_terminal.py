"""What reaches the terminal: answers alone on stdout, and nothing that the terminal would obey."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.cli import progress, terminal
from evofool.config import load_campaign, to_yaml
from evofool.errors import EvofoolError
from evofool.evolution.verify import verify

ROOT = Path(__file__).parents[2]
TOYS = ROOT / "tests" / "toys" / "exact.py"
GOLDEN = "f80367af775317ebac8c7b5e66d648b6ea6af46d44a52284c54b1a37ae60b956"

CHATTY = f"""
import contextlib, importlib.util, os, sys, threading

spec = importlib.util.spec_from_file_location("exact", {str(TOYS)!r})
exact = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exact)
Bytes = exact.Bytes


def chatter(where):
    print(f"print {{where}}", flush=True)
    sys.__stdout__.write(f"original {{where}}\\n")
    sys.__stdout__.flush()
    with contextlib.suppress(OSError):  # as C++ does
        os.write(1, f"descriptor {{where}}\\n".encode())
    thread = threading.Thread(target=print, args=(f"thread {{where}}",))
    thread.start()
    thread.join()


chatter("import")


def victim():
    chatter("load")

    def predict(images):
        chatter("predict")
        return exact._predict(images)

    return exact.from_predict(
        predict, input_shape=(1, 6, 6), output="logits", link="sigmoid", name="toy"
    )
"""
CONFIG = f"""
classifier: "VICTIM:victim"
encoding: {{name: "{TOYS}:Bytes"}}
evolution: {{initial: 20, children: 20}}
stop: {{generations: 12}}
scoring: {{batch: 8, workers: 2}}
seed: 3
"""


@pytest.fixture
def chatty(tmp_path: Path) -> Path:
    (tmp_path / "chatty.py").write_text(CHATTY)
    (tmp_path / "toy.yaml").write_text(CONFIG.replace("VICTIM", str(tmp_path / "chatty.py")))
    return tmp_path


@pytest.fixture
def full() -> Path:
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("this system has no /dev/full")
    return path


def digest(run: Path) -> str:
    return str(json.loads((run / "summary.json").read_text())["archive_digest"])


def test_a_victim_that_prints_everywhere_leaves_json_alone(evofool: Any, chatty: Path) -> None:
    run = chatty / "run"
    done = evofool("evolve", chatty / "toy.yaml", "--out", run)
    assert done.returncode == 0, done.stderr
    assert digest(run) == GOLDEN
    assert "won" in done.stdout
    done = evofool(
        "score", run / "images" / "0003.png", "--classifier", f"{chatty / 'chatty.py'}:victim",
        "--json",
    )  # fmt: skip
    (reading,) = json.loads(done.stdout)
    assert reading["now"] == reading["claim"]["confidence"]
    for how in ("print", "original", "descriptor", "thread"):
        for where in ("import", "load", "predict"):
            assert f"{how} {where}" in done.stderr


def test_a_full_stderr_ends_no_campaign(evofool: Any, chatty: Path, full: Path) -> None:
    done = evofool("evolve", chatty / "toy.yaml", "--out", chatty / "run", stderr=full)
    assert done.returncode == 0
    assert digest(chatty / "run") == GOLDEN


def test_closed_streams_end_no_campaign_and_no_file_takes_their_place(chatty: Path) -> None:
    command = f'exec "{sys.executable}" -m evofool evolve toy.yaml --out run <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", command], cwd=chatty, check=False)
    assert done.returncode == 0
    assert digest(chatty / "run") == GOLDEN
    for file in (chatty / "run").rglob("*"):  # the victim wrote to descriptor 1 all the time
        assert file.is_dir() or b"descriptor predict" not in file.read_bytes()


@pytest.mark.parametrize(
    "arguments", [("--help",), ("evolve", "--help"), ("--version",), ("list", "configs"), ()]
)
def test_a_full_stdout_is_an_error_in_words(
    evofool: Any, full: Path, arguments: tuple[str, ...]
) -> None:
    done = evofool(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == ("evofool: standard output cannot be written (No space left on device)\n")


def test_a_reader_that_leaves_needs_no_words() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "evofool", "list", "configs"]
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_names_of_folders_are_inert(evofool: Any, tmp_path: Path) -> None:
    hostile = tmp_path / "a\x1b]0;x\x07[red]b"
    done = evofool("status", hostile)
    assert done.returncode == 2
    assert "a\\x1b]0;x\\x07[red]b" in done.stderr
    assert "\x1b" not in done.stderr
    done = evofool("status", hostile, hostile)  # as a shell's * gives them
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_interprets_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with progress.watch_gallery() as show:
        show("[bold]runs[/bold] \x1b[2J [/nothing]", 0.5)
    assert "[bold]runs[/bold] \\x1b[2J [/nothing]" in screen.getvalue()


def test_answers_are_inert_lines(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.answer("a\x1b[2J", "b\nc")
    terminal.remark("\u202ed")
    shown = capsys.readouterr()
    assert shown.out == "a\\x1b[2J\nb\\nc\n"
    assert shown.err == "\\u202ed\n"


def test_what_cannot_be_answered_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", Full())
    terminal.remark("dropped")
    with pytest.raises(EvofoolError, match="standard output cannot be written"):
        terminal.answer("x")


def test_commands_print_through_the_terminal_alone() -> None:
    for file in (ROOT / "evofool").rglob("*.py"):
        if file.name != "terminal.py":
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"\btyper\.echo|(?<![\w.])print\(|sys\.stdout", text), file


def test_a_locale_of_ascii(tmp_path: Path, toy_campaign: Callable[..., dict[str, Any]]) -> None:
    """LANG=C, and Python told not to make UTF-8 of it: names, files and messages are as ever."""
    folder = tmp_path / "größer"
    folder.mkdir()
    (folder / "toy.yaml").write_text(
        to_yaml(load_campaign(toy_campaign(stop={"generations": 2})).config), encoding="utf-8"
    )
    command = [sys.executable, "-m", "evofool", "evolve", str(folder / "toy.yaml"), "--out"]
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [*command, str(folder / "run")],
        env={**os.environ, **plain},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    done.stdout.decode("ascii")
    assert all(check.ok is not False for check in verify(folder / "run"))
