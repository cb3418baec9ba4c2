"""What `docs/versions.md` calls public is there, and what the documents teach is public."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest
from documents import PAGES, ROOT, blocks

from evofool import kinds, testing
from evofool.attacks import registry as attacks
from evofool.classifiers import load
from evofool.defenses import registry as defenses
from evofool.encodings import GROUP

TEXT = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")


@cache
def public() -> tuple[str, ...]:
    table = TEXT.split("| for | modules |\n|---|---|\n")[1].partition("\n\n")[0]
    return tuple(re.findall(r"`(evofool[\w.]*)`", table))


@pytest.mark.parametrize("name", public())
def test_a_public_module_offers_something(name: str) -> None:
    module = importlib.import_module(name)
    offered = getattr(module, "__all__", [key for key in vars(module) if not key.startswith("_")])
    assert offered
    assert not [key for key in offered if not hasattr(module, key)]


def imported() -> set[str]:
    """The modules of evofool that code of documents and examples imports."""
    own = ROOT / "docs" / "examples"
    codes = [b.text for page in PAGES for b in blocks(page) if b.language == "python"]
    codes += [path.read_text(encoding="utf-8") for path in own.glob("*.py")]
    codes.append((ROOT / "tests" / "support" / "plain_colours.py").read_text(encoding="utf-8"))
    found = set()
    for node in (node for code in codes for node in ast.walk(ast.parse(code))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            offered = getattr(importlib.import_module(node.module), "__all__", ())
            inner = [f"{node.module}.{a.name}" for a in node.names if a.name not in offered]
            found |= {name for name in inner if is_module(name)} or {node.module}
    return {name for name in found if name.split(".")[0] == "evofool"}


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return Path(f"{path}.py").is_file() or (path / "__init__.py").is_file()


def test_what_the_documents_import_is_public() -> None:
    assert imported() - set(public()) == set()


def test_contracts_and_groups_are_those_that_there_are() -> None:
    checks = set(re.findall(r"`(check_\w+)`", TEXT))
    assert checks == {name for name in testing.__all__ if name.startswith("check_")}
    (line,) = re.findall(r"^\*\*Entry point groups\*\*.*$", TEXT, re.MULTILINE)
    groups = {GROUP, attacks.GROUP, defenses.GROUP, kinds.GROUP, load.GROUP}
    assert set(re.findall(r"`(evofool\.\w+)`", line)) == groups


def test_schema_versions_are_those_of_the_kinds() -> None:
    table = TEXT.split("| kind | schema |\n|---|---|\n")[1].partition("\n\n")[0]
    told = {name: int(version) for name, version in re.findall(r"`(\w+)` \| (\d+)", table)}
    assert told == {kind.name: kind.schema_version for kind in kinds.BUILT_IN}
