"""Who may import whom: from a row to any row below it, never upward, never within a row."""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "evofool"
ENCODINGS = ROOT / "encodings"

ROWS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "files", "seal", "text"}),
    frozenset({"kinds", "jit", "ray_session", "ray_watch", "validation"}),
    frozenset({"randomness"}),
    frozenset({"images", "config", "operators"}),
    frozenset({"render", "classifiers", "data"}),
    frozenset({"plugins"}),
    frozenset({"encodings", "training", "scoring", "store"}),
    frozenset({"evolution", "attacks"}),
    frozenset({"defenses"}),
    frozenset({"report"}),
    frozenset({"signs"}),
    frozenset({"experiments", "gallery", "testing"}),
    frozenset({"cli"}),
)
"""From the bottom up."""
HEIGHT = {part: height for height, row in enumerate(ROWS) for part in row}
EXEMPT = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}
"""The face of the library reaches for every part, on demand."""

FILES = sorted({*PACKAGE.rglob("*.py"), *ENCODINGS.rglob("*.py")} - EXEMPT)


def module_of(file: Path) -> str:
    """The dotted name a file is imported by."""
    if file.is_relative_to(ENCODINGS):
        return ".".join(
            ("evofool", "encodings", *file.relative_to(ENCODINGS).with_suffix("").parts)
        )
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, file: Path) -> Iterator[tuple[int, str]]:
    """Lines and dotted names of all that is imported, on any level and under any condition."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module_of(file).split(".")
                cut = node.level - (file.name == "__init__.py")
                base = ".".join((*package[: len(package) - cut], *filter(None, (base,))))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


@dataclass(frozen=True)
class Facts:
    """What a file imports, calls and where it names a stream; each with its line."""

    imports: tuple[tuple[int, str], ...]
    calls: tuple[tuple[int, str], ...]
    """``print``, ``.train``."""
    streams: tuple[int, ...]


@cache
def facts(file: Path) -> Facts:
    """Of a file, which is parsed once for all the tests."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls, streams = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            calls.append((node.lineno, node.func.id))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            calls.append((node.lineno, f".{node.func.attr}"))
        elif isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
            streams.append(node.lineno)
    return Facts(tuple(imports_of(tree, file)), tuple(calls), tuple(streams))


def violations(imports: Iterable[tuple[int, str]], file: Path) -> list[str]:
    """Which of the lines and names that `file` imports it may not."""
    own = module_of(file).split(".")[1]
    found = []
    for line, name in imports:
        parts = name.split(".")
        if parts[0] == "encodings":
            found.append(f"{line}: {name} is Python's own package; use evofool.encodings")
        if parts[0] != "evofool":
            continue
        if len(parts) == 1 or (parts[1] not in HEIGHT and not parts[1].startswith("__")):
            found.append(f"{line}: {name} is no part of the house, or the whole of it")
        elif file.is_relative_to(ENCODINGS) and parts[1:2] == ["encodings"]:
            if len(parts) > 2 and (ENCODINGS / f"{parts[2]}.py").is_file():
                found.append(f"{line}: encodings never import each other: {name}")
        elif parts[1] != own and HEIGHT.get(parts[1], -1) >= HEIGHT[own]:
            found.append(f"{line}: {own} may not import {name}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_arrows_point_down(file: Path) -> None:
    own = module_of(file).split(".")[1]
    assert own in HEIGHT, f"{own} has no row: give it one here and in the design"
    assert violations(facts(file).imports, file) == []


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("evofool/scoring/x.py", "from evofool.store import CampaignFolder"),
        ("evofool/scoring/x.py", "def f():\n    import evofool.evolution.campaign"),
        ("evofool/errors.py", "from evofool.images import Shape"),
        ("evofool/store/x.py", "from evofool import gallery"),
        ("evofool/store/x.py", "from ..cli import app"),
        ("evofool/store/__init__.py", "from .. import scoring"),
        ("evofool/attacks/x.py", "if TYPE_CHECKING:\n    from evofool.evolution import archive"),
        ("evofool/render/x.py", "import evofool"),
        ("evofool/render/x.py", "from encodings import cppn"),
        ("encodings/x.py", "from evofool.scoring import Scorer"),
        ("encodings/x.py", "from evofool.encodings.cppn import ENCODING"),
        ("encodings/x.py", "from evofool.encodings import direct"),
    ],
)
def test_an_arrow_that_points_up_is_seen(where: str, source: str) -> None:
    assert violations(imports_of(ast.parse(source), ROOT / where), ROOT / where)


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("evofool/scoring/x.py", "from evofool.scoring.y import z\nfrom .y import z"),
        ("evofool/scoring/__init__.py", "from .y import z\nfrom evofool import errors"),
        ("evofool/cli/x.py", "import evofool.evolution.campaign\nfrom evofool import __version__"),
        ("encodings/x.py", "from evofool.render.cppn import f\nfrom evofool.encodings import G"),
        ("evofool/scoring/x.py", "import numpy, os.path\nfrom torch import nn"),
    ],
)
def test_an_arrow_that_points_down_is_let_be(where: str, source: str) -> None:
    assert violations(imports_of(ast.parse(source), ROOT / where), ROOT / where) == []


MUTUAL = {
    # a work is given what it may use, which knows of works: for type checkers only (a protocol
    # in between would repeat all of what works are offered)
    ("evofool.experiments.engine.work", "evofool.experiments.engine.context"),
}


def circle(imports: Mapping[str, Iterable[tuple[int, str]]]) -> list[str]:
    """Modules that import each other in a circle, the first one again at the end; empty: none do.

    Args:
        imports: lines and names, as `imports_of` gives them, by the dotted name of the module.
    """
    needs: dict[str, set[str]] = {}
    for module, names in imports.items():
        needs[module] = set()
        for _, imported in names:
            name = imported
            while name and name not in imports:  # what is imported may be a name in a module
                name = name.rpartition(".")[0]
            if (module, name) not in MUTUAL:
                needs[module] |= {name} - {"", module}
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle({module_of(file): facts(file).imports for file in FILES}) == []


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("if TYPE_CHECKING:\n    from evofool.gallery.x import Room", True),
        ("def f():\n    from evofool.gallery import x", True),
        ("from .x import Room", True),
        ("from evofool.gallery.z import Room", False),
    ],
)
def test_a_circle_is_seen(source: str, seen: bool) -> None:
    imports = {
        f"evofool.gallery.{name}": list(
            imports_of(ast.parse(text), PACKAGE / "gallery" / f"{name}.py")
        )
        for name, text in (("x", "from evofool.gallery.y import f"), ("y", source), ("z", ""))
    }
    assert bool(circle(imports)) == seen


def test_only_the_command_line_prints() -> None:
    talkers = []
    for file in FILES:
        if file.is_relative_to(PACKAGE / "cli"):
            continue
        known = facts(file)
        talkers += [f"{file}:{line}" for line, name in known.calls if name == "print"]
        talkers += [
            f"{file}:{line}" for line, name in known.imports if name.split(".")[0] == "rich"
        ]
        talkers += [f"{file}:{line}" for line in known.streams]
    assert talkers == []


def test_only_training_sets_train_mode() -> None:
    found = [
        f"{file}:{line}"
        for file in FILES
        if not file.is_relative_to(PACKAGE / "training")
        for line, name in facts(file).calls
        if name == ".train"
    ]
    assert found == []


def test_only_the_store_knows_the_database() -> None:
    found = [
        f"{file}:{line}: {name}"
        for file in FILES
        if not file.is_relative_to(PACKAGE / "store")
        for line, name in facts(file).imports
        if name.split(".")[0] == "sqlite3"
    ]
    assert found == []


# the folder that has the name of a standard package


def test_encodings_is_no_package() -> None:
    assert not (ENCODINGS / "__init__.py").exists()


@pytest.mark.parametrize("path", [str(ROOT), f"{ROOT}{os.pathsep}", "."])
def test_the_standard_encodings_win(path: str) -> None:
    """With the checkout on the path, every interpreter starts, and evofool's are found too."""
    code = (
        "import encodings, encodings.utf_8, evofool.encodings, evofool.encodings.direct\n"
        "print(encodings.__file__); print(evofool.encodings.direct.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    standard, ours = map(Path, done.stdout.splitlines())
    assert standard.resolve().is_relative_to(Path(sysconfig.get_paths()["stdlib"]).resolve())
    assert ours.resolve() == ENCODINGS / "direct.py"


def test_the_rows_are_those_that_contributors_are_told() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = text.split("## Who may import whom", 1)[1].split("```")[1]
    rows = [frozenset(line.split()) for line in told.splitlines()[1:]]  # after the language
    assert rows == [frozenset(row) for row in reversed(ROWS)]
