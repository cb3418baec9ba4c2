"""What a shell offers at the Tab key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evofool.cli import completion
from evofool.cli.app import app
from evofool.config import shipped


def offered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> list[str]:
    """What bash is told after these words, the last of which is not finished."""
    monkeypatch.setenv("_EVOFOOL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["evofool", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit):
        app([], prog_name="evofool")
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("evol",), ["evolve"]),
        (("ru",), ["run"]),
        (("run", "quickst"), ["quickstart"]),
        (("run", "defend/mnist-cos"), ["defend/mnist-costs"]),
        (("list", "con"), ["configs"]),
        (("list", "kin"), ["kinds"]),
        (("list", "classes", "mnist-le"), ["mnist-lenet"]),
        (("score", "x.png", "--classifier", "mnist-le"), ["mnist-lenet"]),
    ],
)
def test_words_of_a_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    expected: list[str],
) -> None:
    assert offered(monkeypatch, capsys, *words) == expected


def completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str, line: str
) -> str:
    """What zsh or fish is told of a line that is not finished."""
    monkeypatch.setenv("_EVOFOOL_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    with pytest.raises(SystemExit):
        app([], prog_name="evofool")
    return capsys.readouterr().out


def test_fish_gets_a_line_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = completed(monkeypatch, capsys, "fish", "evofool run ").splitlines()
    assert [line.split("\t")[0] for line in lines] == [config.name for config in shipped()]
    assert completed(monkeypatch, capsys, "fish", "evofool list con").split() == ["configs"]


def test_zsh_gets_words_with_what_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = completed(monkeypatch, capsys, "zsh", "evofool run quickst")
    assert offered.startswith('_arguments \'*: :(("quickstart":"Fooling images for all 1000')
    assert "\n" not in offered.strip()


def test_files_and_run_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.yaml", "mine.txt", ".hidden.yaml", "runs/first/manifest.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = [name for name, _ in completion.configs("")]
    assert names[: len(shipped())] == [config.name for config in shipped()]
    assert names[len(shipped()) :] == ["mine.yaml", "runs"]
    assert completion.configs("mi") == [("mine.yaml", "")]
    assert completion.runs("r") == [("runs", "a folder")]
    assert completion.runs("runs/") == completion.runs("runs/f") == [("runs/first", "a run")]
    assert completion.runs("nowhere/") == completion.runs("a\0b/") == []


def test_no_completion_waits_for_torch() -> None:
    code = (
        "import sys, evofool.cli.app\n"
        "assert 'pydantic' not in sys.modules, 'help would wait for the models of configs'\n"
        "from evofool.cli.completion import classifiers, configs, runs\n"
        "assert configs('') and classifiers('') and runs('/')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
