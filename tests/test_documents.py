"""Every command and every config of the documents is one that this version takes."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from documents import PAGES, ROOT, Block, blocks, commands

from evofool.cli.app import app
from evofool.config import kind_of
from evofool.config.document import load_yaml
from evofool.errors import EvofoolError

LANGUAGES = ("", "python", "yaml", "toml", "text")  # nothing: commands
OTHER_PROGRAMS = {
    "pip", "uv", "ray", "cut", "curl", "docker", "git", "ruff", "mypy", "pre-commit", ".ci/run",
    ".ci/site", ".ci/first-hour", ".ci/lowest",
}  # fmt: skip
EXAMPLES = {
    "run": "quickstart",
    "evolve": "mnist-cppn",
    "attack": "attack-mnist",
    "defend": "defend/mnist-jpeg",
    "compare": "compare/mnist",
    "transfer": "transfer/mnist",
    "train": "train/mnist-lenet",
    "sweep": "quickstart",
}
"""What CONFIG stands for, and what parts of a config are tried in, by command."""
NAMED = re.compile(r"[\w./-]+\.(?:safetensors|pth|pt2|onnx|skops|py)\b|RUN/victim.yaml")
RUNNABLE = [block for page in PAGES for block in blocks(page) if block.excuse is None]
GROUP: Any = typer.main.get_command(app)


def of(*languages: str) -> list[Block]:
    return [block for block in RUNNABLE if block.language in languages]


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a checkout, where files that a document only names can be laid."""
    for name in ("configs", "docs", "tests", "encodings"):
        (tmp_path / name).mkdir()
        for inner in (ROOT / name).iterdir():
            (tmp_path / name / inner.name).symlink_to(inner)
    (tmp_path / "my-pictures").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVOFOOL_DATA", str(tmp_path / "data"))
    return tmp_path


def lay_files(text: str, folder: Path) -> None:
    """The user's own files that a text names: empty, since configs are checked without them."""
    for name in NAMED.findall(text):
        path = folder / name
        if not Path(name).is_absolute() and not path.exists() and ".." not in path.parts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_every_block_says_what_it_is() -> None:
    unknown = [f"{b}: {b.language}" for b in RUNNABLE if b.language not in LANGUAGES]
    assert not unknown, "a tree of files or the like is ```text"


def test_excuses_give_a_reason() -> None:
    excused = [block for page in PAGES for block in blocks(page) if block.excuse is not None]
    assert all(len(str(block.excuse).split()) > 3 for block in excused)
    assert len(excused) < 12


@pytest.mark.parametrize("block", of(""), ids=str)
def test_commands_are_understood(block: Block, somewhere: Path) -> None:
    lay_files(block.text, somewhere)
    for words in commands(block.text):
        program, *arguments = words
        if program == "evofool":
            understood(arguments)
        elif program in ("python", "pytest"):
            paths = [word for word in arguments if "/" in word and not word.startswith("$")]
            assert all((ROOT / path).exists() for path in paths), words
        else:
            assert program in OTHER_PROGRAMS, f"{words}: ```text, if it is no command"


def understood(arguments: list[str]) -> None:
    """Parse a command line as the program would, and load the config that it names."""
    if arguments[0].startswith("--"):  # --install-completion would do it
        assert any(arguments[0] in parameter.opts for parameter in GROUP.params), arguments
        return
    name, *rest = arguments
    assert name in GROUP.commands, f"there is no command {name}"
    context = GROUP.commands[name].make_context(name, rest)
    given = context.params
    if name not in EXAMPLES:
        return
    config = given.get("config")
    changes = given.get("overrides") or []
    if config is None:  # compare takes a config or run folders
        config, *changes = given["given"]
        if config.startswith("runs/"):
            return
    config = EXAMPLES[name] if config == "CONFIG" else config
    if name != "sweep":
        kind_of(config, name).part("load")(config, changes, given.get("seed"))


def spans() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in re.finditer(r"`(?:uv run )?evofool ([a-z][\w-]+)", page.read_text("utf-8")):
            yield str(page.relative_to(ROOT)), found[1]


def test_commands_in_sentences_are_there() -> None:
    found = list(spans())
    assert len(found) > 100
    assert {(page, name) for page, name in found if name not in GROUP.commands} == set()


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_configs_are_accepted(block: Block, somewhere: Path) -> None:
    lay_files(block.text, somewhere)
    keys = re.findall(r"^(\w+):", block.text, re.MULTILINE)
    alternatives = len(set(keys)) < len(keys)  # a line each
    for text in block.text.splitlines() if alternatives else [block.text]:
        accepted(text, somewhere)


def accepted(text: str, folder: Path) -> None:
    """A whole config by its own kind, a part of one by any, in a config that ships."""
    path = folder / "block.yaml"
    path.write_text(text, encoding="utf-8")
    part = dict(load_yaml(path).data)
    if "kind" in part:
        kind_of(path).part("load")(path)
        return
    said = []
    examples = [
        (command, name) for command, name in EXAMPLES.items() if command not in ("run", "sweep")
    ]
    for command, example in [*examples, ("train", "train/gtsrb-head-frozen")]:
        kind = kind_of(example, command)
        whole = dict(load_yaml(shipped(example)).data)
        for left_out in ("", *(key for key in whole if key not in part)):
            rest = {key: value for key, value in whole.items() if key != left_out}
            try:
                kind.part("load")({**rest, **part})
                return
            except EvofoolError as error:
                said += [] if left_out else [f"{command}: {error}"]
                if "unknown key" in str(error):
                    break
    pytest.fail("\n".join([text, *said]))


def shipped(name: str) -> Path:
    return ROOT / "configs" / f"{name}.yaml"


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_toml_is_toml(block: Block) -> None:
    tomllib.loads(block.text)


def test_a_wrong_command_is_seen(somewhere: Path) -> None:
    for line in (
        "evofool evolv quickstart",
        "evofool evolve quickstart --sed 1",
        "evofool evolve quickstart stop.generation=1",
        "evofool evolve configs/nothing.yaml",
        "uv run --group x evofool attack quickstart",
    ):
        (words,) = commands(line)
        with pytest.raises((AssertionError, EvofoolError, _usage())):
            understood(words[1:])


def _usage() -> type[Exception]:
    from evofool.cli.usage import CommandLineError

    return CommandLineError


def test_a_wrong_config_is_seen(somewhere: Path) -> None:
    with pytest.raises(EvofoolError):
        accepted("kind: attack\nclassifier: mnist-lenet\nattacks: [fgsmm]\n", somewhere)
    with pytest.raises(pytest.fail.Exception):
        accepted("evolution: {fitnes: log_odds}\n", somewhere)
    assert os.environ["EVOFOOL_DATA"].startswith(str(somewhere))
