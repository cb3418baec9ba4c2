"""The tutorial as a notebook, and its pictures and outputs as its code makes them.

    python docs/site/notebook.py          # docs/tutorial.ipynb from docs/tutorial.md
    python docs/site/notebook.py --run    # runs the code first: pictures, and what it prints

`docs/tutorial.md` is the source. The notebook has no outputs: whoever opens it makes them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
PAGE = DOCS / "tutorial.md"
CELL = re.compile(r"^```python\n(?P<code>.*?)^```\n(?P<output>\n```text\n.*?^```\n)?", re.M | re.S)
ONLY_ON_THE_PAGE = re.compile(
    r"^!\[.*?\]\(.*?\)\n|^The same text is a notebook,\n(?:.+\n)+\n", re.M
)


def cells(page: str) -> list[tuple[str, str]]:
    """``("markdown" or "code", text)`` in order; pictures and outputs of the page are left out."""
    found = []
    end = 0
    for block in CELL.finditer(page):
        found += [("markdown", page[end : block.start()]), ("code", block["code"])]
        end = block.end()
    found.append(("markdown", page[end:]))
    texts = [(kind, ONLY_ON_THE_PAGE.sub("", text).strip("\n")) for kind, text in found]
    return [(kind, text) for kind, text in texts if text]


def notebook(page: str) -> str:
    """The notebook of a page, as its file has it (nbformat 4.5)."""
    made: list[dict[str, Any]] = []
    for number, (kind, text) in enumerate(cells(page)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        made.append(cell | {"source": text.splitlines(keepends=True)})
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": made,
        "metadata": {"kernelspec": python, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def with_outputs(page: str) -> str:
    """The page after its code has run in the working directory, with what each block prints."""
    names: dict[str, Any] = {"__name__": "tutorial"}

    def run(block: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block["code"], str(PAGE), "exec"), names)
        output = f"\n```text\n{printed.getvalue()}```\n" if printed.getvalue() else ""
        return f"```python\n{block['code']}```\n{output}"

    return CELL.sub(run, page)


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if "--run" in sys.argv:
        os.environ["MPLBACKEND"] = "agg"
        os.chdir(DOCS)
        page = with_outputs(page)
        PAGE.write_text(page, encoding="utf-8")
    PAGE.with_suffix(".ipynb").write_text(notebook(page), encoding="utf-8")


if __name__ == "__main__":
    main()
