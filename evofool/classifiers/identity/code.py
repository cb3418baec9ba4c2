"""Files from outside that a config runs, listed and hashed without running any of them.

These are the Python files that it names (``file.py:function``, under any key), the modules
beside them that they import, and YAML files, which may name Python files in turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.identity.siblings import imported_files
from evofool.config import load_yaml
from evofool.errors import ClassifierError, ConfigError

_YAML = (".yaml", ".yml")
_MAX_DEPTH = 4
"""YAML files that name each other."""


def code_in(values: Mapping[str, Any], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """By dotted key of plain `values`, the files that are run for the text there.

    Each has its ``path`` and ``sha256``, and a Python file also ``beside``: the sha256 of what it
    imports from its own folder, by the name in there (what is imported by a name that is made up
    at run time is not seen). Files that are not there are left out.

    Args:
        values: of a config.
        folder: that relative paths start from.

    Raises:
        ClassifierError: a file cannot be read.
    """
    return {key: files for key, value in _texts(values) if (files := list(_files(value, folder)))}


def code_digest(name: str, folder: Path | None = None) -> str | None:
    """Hex sha256 of the Python file in ``file.py:Class`` and of what it imports from beside it.

    None where `name` names no file.

    Args:
        name: of a class.
        folder: that a relative path starts from; by default the working directory.

    Raises:
        ClassifierError: the file cannot be read, or there is none.
    """
    if ".py:" not in name:
        return None
    files = [*_files(name, Path.cwd() if folder is None else folder)]
    if not files:
        raise ClassifierError(f"{name.rpartition(':')[0]}: no such file")
    known = [(file["sha256"], file.get("beside", {})) for file in files]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _texts(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every text in plain values, with its dotted key."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{at}.{index}")


def _files(text: str, folder: Path, depth: int = 0) -> Iterator[dict[str, Any]]:
    """What is run for a value of a config that was written in `folder`."""
    named = text.rpartition(":")[0] if ".py:" in text else text
    is_yaml = named.endswith(_YAML)
    if not (is_yaml or ".py:" in text) or len(named) > 4096 or "\n" in named:
        return
    try:
        path = (folder / Path(named).expanduser()).resolve()
        if not path.is_file():
            return
        file: dict[str, Any] = {"path": str(path), "sha256": sha256_file(path)}
        if not is_yaml:
            file["beside"] = _beside(path)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClassifierError(f"{named}: cannot be read ({reason})") from error
    yield file
    if is_yaml and depth < _MAX_DEPTH:
        try:
            data = load_yaml(path).data
        except ConfigError:
            return  # whoever loads it says what is wrong
        for _, inner in _texts(data):
            yield from _files(inner, path.parent, depth + 1)


def _beside(path: Path) -> dict[str, str]:
    """sha256 of the modules in the folder of a Python file that it imports, by relative name."""
    folder = path.parent
    return {
        file.relative_to(folder).as_posix(): sha256_file(file)
        for file in imported_files(path)
        if file != path
    }
