"""Code from outside, held to what a run was begun with before any of it is run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evofool.classifiers.identity.code import code_in
from evofool.errors import ClassifierError, DamagedError, FolderError
from evofool.store.fixed import plain
from evofool.store.folder import Folder

_OLDER = {"classifier": ("classifier.name", "base.name"), "encoding": ("encoding.name",)}
"""Parts of a manifest of before, with the keys of the config whose file they tell."""


def code_of(config: BaseModel) -> dict[str, list[dict[str, Any]]]:
    """The entry ``code`` of a manifest, see `evofool.classifiers.identity.code`.

    Raises:
        FolderError: a file cannot be read.
    """
    try:
        return code_in(plain(config), Path.cwd())
    except ClassifierError as error:
        raise FolderError(str(error)) from error


def check_code(
    run: Folder,
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
        sections: keys of the config that are about to be used, with all that is below them
            (``encoding``, ``attacks.0.name``); None is all of it.

    Raises:
        FolderError: a file has changed, or the manifest does not name it.
    """
    recorded = _recorded(run)
    old = "code" not in run.manifest
    for key, files in code_of(config).items():
        if sections is not None and not _below(key, sections):
            continue
        named = recorded.get(key, [])
        for index, file in enumerate(files):
            if index < len(named):
                _compare(run, key, named[index], file, _below(key, moved))
            elif not (old and _below(key, moved)):
                # folders of before do not name every file: whoever gives it answers for it
                raise FolderError(
                    f"{run.path}: {key} names {file['path']}, which its manifest does not name,"
                    f" so it is not run; {_mend(key)}"
                )


def _below(key: str, sections: Collection[str]) -> bool:
    """Whether `key` is one of `sections` or inside one."""
    parts = key.split(".")
    return any(".".join(parts[: n + 1]) in sections for n in range(len(parts)))


def _compare(
    run: Folder, key: str, named: Mapping[str, Any], file: Mapping[str, Any], moved: bool
) -> None:
    if file["sha256"] != named.get("sha256"):
        raise _changed(run, key, file["path"], moved)
    if "beside" in named and file.get("beside") != named["beside"]:
        was, now = named["beside"], file.get("beside", {})
        names = sorted(n for n in {*was, *now} if was.get(n) != now.get(n))
        raise _changed(run, key, str(Path(file["path"]).parent / names[0]), moved)
    if not moved and file["path"] != _resolved(str(named.get("path"))):
        raise FolderError(
            f"{run.path}: {key} names {file['path']}, but its manifest names"
            f" {named.get('path')}, so it is not run; {_mend(key)}"
        )


def _changed(run: Folder, key: str, path: str, moved: bool) -> FolderError:
    where = "is not the file" if moved else "has changed since the run was made, or is not the file"
    return FolderError(
        f"{run.path}: {path} {where} that {key} was made with, so it is not run; {_mend(key)}"
    )


def _mend(key: str) -> str:
    option = {"classifier": "--classifier", "encoding": "--encoding"}.get(key.partition(".")[0])
    return (
        "restore the original file" if option is None else f"give the original file with {option}"
    )


def _recorded(run: Folder) -> dict[str, list[dict[str, Any]]]:
    """What the manifest names, by key; of older ones the victim's and the encoding's file."""
    manifest = run.manifest
    if "code" in manifest:
        code = manifest["code"]
        if not _is_code(code):
            raise DamagedError(f"{run.path / 'manifest.json'}: damaged: code")
        return dict(code)
    recorded: dict[str, list[dict[str, Any]]] = {}
    for part, keys in _OLDER.items():
        entry = manifest.get(part)
        # not so where a function of the user's loads the graph or weights that are named instead
        if isinstance(entry, dict) and str(entry.get("path")).endswith((".py", ".yaml", ".yml")):
            recorded |= {key: [entry] for key in keys}
    return recorded


def _is_code(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(files, list)
        and all(
            isinstance(file, dict) and isinstance(file.get("beside", {}), dict) for file in files
        )
        for files in value.values()
    )


def _resolved(path: str) -> str:
    """`path`, which a manifest gives as an absolute one: it means the same from everywhere."""
    try:
        return str(Path(path).resolve()) if Path(path).is_absolute() else path
    except (OSError, ValueError, RuntimeError):
        return path
