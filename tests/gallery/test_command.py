"""``evofool gallery`` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from evofool.cli.app import app
from evofool.errors import UsageError


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_pages_prints_and_films(toy_run: Path, tmp_path: Path) -> None:
    done = run("gallery", toy_run, "--ancestry", "2", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "out" / "index.html") in done.output
    assert len(list((tmp_path / "out" / "ancestry").glob("*-film.webp"))) == 2
    done = run("gallery", toy_run, "--single-file", "--out", tmp_path / "one.html")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "one.html").stat().st_size > 20_000
    done = run("gallery", toy_run, "--class", 3, "--film", "gif", "--out", tmp_path / "f.gif")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "f.gif").read_bytes()[:3] == b"GIF"


def test_a_watched_run_ends_by_itself_away_from_a_terminal(
    tmp_path: Path, toy_campaign: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "toy.yaml").write_text(json.dumps(toy_campaign(stop={"generations": 1})))
    done = run("evolve", tmp_path / "toy.yaml", "--out", tmp_path / "run", "--watch")
    assert done.exit_code == 0, done.output
    assert "watch it at http://127.0.0.1:" in done.output
    assert "Ctrl-C" not in done.output
    assert (tmp_path / "run" / "gallery" / "index.html").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--class", "3"], "either --size or --film"),
        (["--size", "64"], "--class"),
        (["--class", "3", "--size", "64", "--film", "gif"], "either"),
        (["--class", "999", "--film", "gif"], "no class 999"),
        (["--ancestry", "many"], "neither a number"),
        (["--watch", "--host", "nowhere.invalid"], "is not available"),
    ],
)
def test_bad_usage(options: list[str], message: str, toy_run: Path) -> None:
    done = run("gallery", toy_run, *options)
    assert isinstance(done.exception, UsageError), done.output
    assert message in str(done.exception)


def test_several_runs_without_a_place(folder: Any) -> None:
    done = run("gallery", folder("a", "xy"), folder("b", "xy"))
    assert isinstance(done.exception, UsageError)
    assert "--out" in str(done.exception)
