"""The code of the documentation runs as it is written."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from documents import PAGES, ROOT, Block, blocks

DOCS = ROOT / "docs"
OWN_TESTS = {"docs/python.md", "docs/tutorial.md"}
WITH_CODE = {
    str(page.relative_to(ROOT)): found
    for page in PAGES
    if (found := [b for b in blocks(page) if b.language == "python" and b.excuse is None])
}


@pytest.mark.parametrize("page", sorted(set(WITH_CODE) - OWN_TESTS))
def test_code_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page, from top to bottom, in an empty folder beside the examples."""
    monkeypatch.chdir(tmp_path)
    for name in ("docs", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    names: dict[str, Any] = {"__name__": "page"}
    for block in WITH_CODE[page]:
        run(block, names)


def run(block: Block, names: dict[str, Any]) -> None:
    code = "\n" * (block.line - 1) + block.text  # so that a failure names the line of the page
    exec(compile(code, str(block.page), "exec"), names)


def test_the_tour_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(DOCS)
    page = DOCS / "python.md"
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "library"}
    counts: list[tuple[int, int]] = []
    found = WITH_CODE["docs/python.md"]
    assert len(found) == len(blocks(page)) == 10
    for block in found:
        run(block, names)
        if "service" in names and "result" not in names:
            counts.append((names["scorer"].forward_images, names["scorer"].left))
    # what the page says of what it shows
    assert names["run"].path.name == "attacks"
    assert names["poster"].shape == (1, 1, 512, 512)
    assert names["best"].pixels.shape == (1, 28, 28)
    assert [record.won for record in names["again"].results()]
    assert names["longer"].summary["generations"] == 12
    assert counts[0] == (200, 800)
    assert 0 < len(names["fooled"]) < 20
    assert names["result"].success.any()
    assert f"# {names['first']}\n" in text
    printed = capsys.readouterr().out.strip()
    assert f"# {printed}\n" in text
    assert not (tmp_path / "runs" / "never").exists()


def test_it_names_all_that_is_offered() -> None:
    import evofool

    text = (DOCS / "python.md").read_text(encoding="utf-8")
    offered = set(evofool.__all__) - {"__version__"}
    assert not {name for name in offered if f"`{name}`" not in text}


def test_every_fault_has_its_tests() -> None:
    text = (DOCS / "faults.md").read_text(encoding="utf-8")
    tables = text.split("| fault | what happens | test |\n|---|---|---|\n")[1:]
    rows = [row for table in tables for row in table.partition("\n\n")[0].splitlines()]
    assert len(rows) > 40
    for row in rows:
        fault, what, named = (cell.strip() for cell in row.strip("|").split("|"))
        tests = re.findall(r"`([^`]+)`", named)
        assert fault, row
        assert what, row
        assert tests, f"no test: {row}"
        for test in tests:
            file, _, function = test.partition("::")
            assert function in _functions(ROOT / file), f"there is no {test}"


@cache
def _functions(path: Path) -> set[str]:
    module = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
