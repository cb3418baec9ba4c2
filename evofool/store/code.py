"""The code from outside that a run executes: hashed when it begins, and again before it is run.

Python files that a config names (``file.py:function``, wherever that stands), the modules beside
them that they import, and YAML files that it names, which may name Python files in turn.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evofool.classifiers.files import sha256_file
from evofool.config import load_yaml
from evofool.errors import ConfigError, FolderError, StoreError
from evofool.store.fixed import plain
from evofool.store.runfolder import RunFolder

_YAML = (".yaml", ".yml")
_MODULES = (".py", ".so", ".pyd")
_OLDER = {"classifier": ("classifier.name", "base.name"), "encoding": ("encoding.name",)}
"""Parts of a manifest of before, with the keys of the config whose file they tell."""
_MAX_DEPTH = 4
"""YAML files that name each other."""


def code_of(config: BaseModel) -> dict[str, list[dict[str, Any]]]:
    """The entry ``code`` of a manifest: by key of the config, the files that are run for it.

    Each has its ``path`` and ``sha256``, and a Python file also ``beside``: the sha256 of what it
    imports from its own folder, by the name in there. Files that are not there are left out.

    Raises:
        FolderError: one cannot be read.
    """
    return {
        key: files
        for key, value in _texts(plain(config))
        if (files := list(_files(value, Path.cwd())))
    }


def check_code(
    run: RunFolder,
    config: BaseModel,
    *,
    moved: Collection[str] = (),
    sections: Collection[str] | None = None,
) -> None:
    """Refuse code that is not what `run` was begun with; nothing of it has been run yet.

    Args:
        run: the folder.
        config: what is about to be used.
        moved: keys whose file was given on the command line: it may lie anywhere, and must hold
            the same.
        sections: of the config that are about to be used; None is all of it.

    Raises:
        FolderError: a file has changed, or the manifest does not name it.
    """
    recorded = _recorded(run)
    old = "code" not in run.manifest
    for key, files in code_of(config).items():
        if sections is not None and key.partition(".")[0] not in sections:
            continue
        named = recorded.get(key, [])
        for index, file in enumerate(files):
            if index < len(named):
                _compare(run, key, named[index], file, key in moved)
            elif not (old and index and key in moved):
                # a folder of before names the YAML alone: whoever gives it answers for the rest
                raise FolderError(
                    f"{run.path}: {key} names {file['path']}, which its manifest does not name,"
                    f" so it is not run; {_mend(key)}"
                )


def _compare(
    run: RunFolder, key: str, named: Mapping[str, Any], file: Mapping[str, Any], moved: bool
) -> None:
    if file["sha256"] != named.get("sha256"):
        raise _changed(run, key, file["path"], moved)
    if "beside" in named and file.get("beside") != named["beside"]:
        was, now = named["beside"], file.get("beside", {})
        names = sorted(n for n in {*was, *now} if was.get(n) != now.get(n))
        raise _changed(run, key, str(Path(file["path"]).parent / names[0]), moved)
    if not moved and file["path"] != _resolved(str(named.get("path"))):
        raise FolderError(
            f"{run.path}: {key} names {file['path']}, but its manifest {named.get('path')}, so it"
            f" is not run; {_mend(key)}"
        )


def _changed(run: RunFolder, key: str, path: str, moved: bool) -> FolderError:
    where = "is not the file" if moved else "has changed since the run was made, or is not the file"
    return FolderError(
        f"{run.path}: {path} {where} that {key} was made with, so it is not run; {_mend(key)}"
    )


def _mend(key: str) -> str:
    option = {"classifier": "--classifier", "encoding": "--encoding"}.get(key.partition(".")[0])
    return "put it back as it was" if option is None else f"give the file as it was by {option}"


def _recorded(run: RunFolder) -> dict[str, list[dict[str, Any]]]:
    """What the manifest names, by key; of older ones the victim's and the encoding's file."""
    manifest = run.manifest
    if "code" in manifest:
        code = manifest["code"]
        if not _is_code(code):
            raise StoreError(f"{run.path / 'manifest.json'}: damaged: code")
        return dict(code)
    found: dict[str, list[dict[str, Any]]] = {}
    for part, keys in _OLDER.items():
        entry = manifest.get(part)
        if isinstance(entry, dict) and "sha256" in entry:
            found |= {key: [entry] for key in keys}
    return found


def _is_code(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(files, list)
        and all(
            isinstance(file, dict) and isinstance(file.get("beside", {}), dict) for file in files
        )
        for files in value.values()
    )


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
        raise FolderError(f"{named}: cannot be read ({reason})") from error
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
    found: dict[Path, str] = {}
    waiting, seen = [path], {path}
    while waiting:
        for name in _imported(waiting.pop()):
            for module in _modules(folder, name):
                if module not in seen:
                    seen.add(module)
                    waiting.append(module)
                    found[module] = sha256_file(module)
    return {module.relative_to(folder).as_posix(): found[module] for module in sorted(found)}


def _imported(path: Path) -> set[str]:
    """First parts of what a file imports, anywhere in it; nothing if it is not Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names


def _modules(folder: Path, name: str) -> Iterator[Path]:
    """The files of a module or package `name` in a folder."""
    for suffix in _MODULES:
        yield from sorted(each for each in folder.glob(f"{name}*{suffix}")
                          if each.name.partition(".")[0] == name and each.is_file())  # fmt: skip
    if (folder / name).is_dir():
        yield from sorted(
            each
            for each in (folder / name).rglob("*")
            if each.suffix in _MODULES and each.is_file()
        )


def _resolved(path: str) -> str:
    try:
        return str(Path(path).resolve())
    except (OSError, ValueError, RuntimeError):
        return path
