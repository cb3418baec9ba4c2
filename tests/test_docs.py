"""The code of the documentation runs as it is written."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
ROOT = DOCS.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_tour_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(DOCS)
    page = DOCS / "python.md"
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "library"}
    counts: list[tuple[int, int]] = []
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```") / 2 == 10
    for block in blocks:
        line = text[: block.start()].count("\n") + 1
        code = "\n" * line + block[1]  # so that a failure names the line of the page
        exec(compile(code, str(page), "exec"), names)
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
    lines = (DOCS / "faults.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    rows = [row for row in rows if not row.startswith(("| fault |", "|---"))]
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
