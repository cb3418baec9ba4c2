"""What ``import evofool`` offers: complete, described, typed, and nothing of it loaded early."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import evofool

NAMES = [
    "Classifier", "EvofoolError", "MapElites", "Scorer", "__version__", "attack", "defend",
    "evolve", "export", "from_module", "from_predict", "load_classifier", "load_dataset",
    "load_encoding", "make_gallery", "open_run", "resume", "status", "train", "verify",
]  # fmt: skip
FACE = Path(inspect.getfile(evofool))


def test_completion_offers_the_library_and_nothing_else() -> None:
    assert dir(evofool) == sorted(evofool.__all__) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_each_name_is_there_and_says_what_it_is(name: str) -> None:
    offered = getattr(evofool, name)
    assert callable(offered)
    about = inspect.getdoc(offered) or ""
    assert len(about.split("\n")[0].split()) > 3
    if inspect.isfunction(offered):
        assert offered.__name__ == name
        assert "Raises:" in about
        signature = inspect.signature(offered)
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty
            assert f"{parameter.name}: " in about


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'evofool' has no attribute 'evolv'"):
        evofool.evolv  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_what_runs() -> None:
    """Each name is imported under TYPE_CHECKING from where it is found when it is asked for."""
    (block,) = (
        node
        for node in ast.parse(FACE.read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for name in set(NAMES) - {"__version__", "make_gallery"}:
        assert getattr(import_module(seen[name] or ""), name) is getattr(evofool, name)


def test_importing_it_loads_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import evofool; dir(evofool); evofool.__version__\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new & {'torch', 'numpy', 'pydantic', 'yaml', 'PIL', 'matplotlib', 'deap'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout.strip() == ""
