"""The Python files that a user's file imports from its own folder, read without running any."""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from evofool.classifiers.identity.files import sha256_file
from evofool.files import read_file

_SITES = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Located:
    """Where a module lies.

    Attributes:
        file: its code; None for a folder without ``__init__.py`` (a namespace package).
        search: folders of its submodules; None if it is no package.
    """

    file: Path | None
    search: tuple[Path, ...] | None = None


def sha256_source(path: Path) -> str:
    """Hex sha256 of a user's file and of the files beside it that it imports.

    Without such files it is the sha256 of the file alone. Nothing is run: imports are read from
    the text, those inside functions too, so a file can be refused before it does anything.

    Raises:
        OSError: a file cannot be read.
    """
    beside = [file for file in imported_files(path) if file != path]
    if not beside:
        return sha256_file(path)
    return sha256_files(path.parent, path, beside)


def sha256_files(folder: Path, first: Path, others: Sequence[Path]) -> str:
    """Hex sha256 over the digests of `first` and `others`, these with their names in `folder`."""
    lines = sorted(f"{sha256_file(file)} {_relative(file, folder)}" for file in others)
    return hashlib.sha256("\n".join([sha256_file(first), *lines]).encode()).hexdigest()


def imported_files(path: Path) -> tuple[Path, ...]:
    """`path` and, through all of them, the files of its folder that they import; in order of name.

    Compiled modules are among them, but not what they import.

    A file that is not valid Python counts as one without imports: running it will give the error.
    """
    folder = path.parent
    todo: list[tuple[Path, str]] = [(path, "")]
    seen = {path}
    while todo:
        file, package = todo.pop()
        for name in _imports(file, package):
            for dotted, located in _chain(name, (folder,), path):
                if located.file is None or located.file in seen:
                    continue
                seen.add(located.file)
                if located.file.suffix != ".py":
                    continue  # a compiled module: what it imports cannot be read
                inside = dotted if located.search is not None else dotted.rpartition(".")[0]
                todo.append((located.file, inside))
    return tuple(sorted(seen))


def locate(name: str, roots: Sequence[Path], main: Path) -> Located | None:
    """The top-level module `name` of a user's code, or None where it is not the user's.

    A file in `roots` comes before an installed package of the same name, as for a script; the
    standard library comes before both. A file that has the name of the package it wraps
    (``torch.py`` with ``import torch``) does not hide it from itself.

    Args:
        name: without dots.
        roots: folders, in the order they are looked at.
        main: the user's file.
    """
    if name in sys.stdlib_module_names or name in ("evofool", "__main__"):
        return None
    for root in roots:
        found = beside(name, (root,))
        if found is None:
            continue
        if found.file is None and (_elsewhere(name) or not _holds_code(found)):
            return None
        if found.file == main and _installed(name):
            return None
        return found
    return None


def beside(name: str, folders: Sequence[Path]) -> Located | None:
    """The module `name` (without dots) directly in one of `folders`."""
    loose: list[Path] = []
    for folder in folders:
        package = folder / name
        if (package / "__init__.py").is_file():
            return Located(package / "__init__.py", (package,))
        for suffix in (*importlib.machinery.EXTENSION_SUFFIXES, ".py"):
            file = folder / f"{name}{suffix}"
            if file.is_file():
                return Located(file)
        if package.is_dir():
            loose.append(package)
    return Located(None, tuple(loose)) if loose else None


def is_site(path: Path) -> bool:
    """Whether installed packages lie there."""
    return any(part in _SITES for part in path.parts)


def _elsewhere(name: str) -> bool:
    """Whether Python itself finds a file of that name, which comes before a mere folder."""
    found = importlib.machinery.PathFinder.find_spec(name)
    return found is not None and found.origin is not None


def _holds_code(located: Located) -> bool:
    return any(next(folder.rglob("*.py"), None) is not None for folder in located.search or ())


def _installed(name: str) -> bool:
    sites = [entry for entry in sys.path if is_site(Path(entry))]
    return importlib.machinery.PathFinder.find_spec(name, sites) is not None


def _chain(name: str, roots: Sequence[Path], main: Path) -> Iterator[tuple[str, Located]]:
    """``a``, ``a.b`` and ``a.b.c`` of ``a.b.c``, as far as they are files of `roots`."""
    parts = name.split(".")
    located = locate(parts[0], roots, main)
    for i in range(len(parts)):
        if located is None:
            return
        yield ".".join(parts[: i + 1]), located
        if located.search is None or i + 1 == len(parts):
            return
        located = beside(parts[i + 1], located.search)


def _imports(file: Path, package: str) -> Iterator[str]:
    """Dotted names that `file`, a module of `package`, imports anywhere."""
    try:
        named = _named(read_file(file))
    except (OSError, ValueError, MemoryError):
        return
    for level, module, name in named:
        if level:
            try:
                module = importlib.util.resolve_name("." * level + module, package)
            except ImportError:  # above the folder, or of a file that is in no package
                continue
        yield f"{module}.{name}" if name else module


@lru_cache(maxsize=256)  # a run reads the same few files again at each check of its code
def _named(source: bytes) -> tuple[tuple[int, str, str], ...]:
    """What a file imports anywhere: the dots in front, the module, and the name taken from it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: list[tuple[int, str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Call) and _by_name(node.func) and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.append((0, first.value.lstrip("."), ""))
    return tuple(found)


def _by_name(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


def _relative(file: Path, folder: Path) -> str:
    try:
        return file.relative_to(folder).as_posix()
    except ValueError:
        return file.name
