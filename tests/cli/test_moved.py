"""``--encoding`` and ``--classifier`` reach every command that opens a run folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evofool.cli.app import app
from evofool.errors import UsageError
from evofool.evolution.campaign import evolve

TOYS = Path(__file__).parents[1] / "toys" / "exact.py"


@pytest.mark.parametrize("option", ["--encoding", "--classifier"])
def test_a_moved_file(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path, option: str
) -> None:
    own, moved, run = tmp_path / "own.py", tmp_path / "moved.py", tmp_path / "run"
    shutil.copy(TOYS, own)
    section, attribute = {
        "--encoding": ("encoding", "Bytes"),
        "--classifier": ("classifier", "victim"),
    }[option]
    evolve(toy_campaign(stop={"generations": 1}, **{section: {"name": f"{own}:{attribute}"}}), run)
    own.rename(moved)
    invoke = CliRunner().invoke
    for command in ("verify", "resume"):
        failed = invoke(app, [command, str(run)])
        assert f"say where it is now with {option}" in str(failed.exception)
    commands = [
        ["verify", str(run)],
        ["gallery", str(run), "--scores", "always", "--ancestry", "all"],
        ["gallery", str(run), "--class", "2", "--film", "webp"],
        ["resume", str(run), "stop.generations=2"],
    ]
    for words in commands:
        done = invoke(app, [*words, option, str(moved)])
        assert done.exit_code == 0, (words, done.output, done.exception)
    assert invoke(app, ["verify", str(run)]).exit_code == 0  # resume wrote it down
    several = invoke(
        app, ["gallery", str(run), str(run), "--out", str(tmp_path / "g"), option, "x"]
    )
    assert isinstance(several.exception, UsageError)
    assert "one run folder" in str(several.exception)
