"""What ``evofool compare`` was given, and whether a folder holds the same comparison already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from evofool.config import shipped
from evofool.config.document import load_yaml
from evofool.errors import ConfigError, UsageError
from evofool.experiments.compare.stored.config import RunsConfig, names_runs
from evofool.files import PathError, expanded, is_file, is_folder
from evofool.store.folder import CONFIG, MANIFEST

LONGEST = 60
"""Letters of the names of runs in the name of a folder."""


def runs_in(given: Sequence[str]) -> list[Path]:
    """The run folders that were given; none where it is a config with its overrides.

    Raises:
        UsageError: there is something else beside run folders.
    """
    folders = [text for text in given if _is_run(text)]
    if not folders:
        return []
    others = [text for text in given if text not in folders]
    if others:
        raise UsageError(
            f"compare takes either one config, with changes to it, or run folders: {folders[0]}"
            f" is a folder, but {others[0]} is not"
        )
    return [_absolute(text) for text in folders]


def folder_of(runs: Sequence[Path], seed: int | None = None) -> Path:
    """Where the comparison of these runs is put by default: the same for the same runs.

    Args:
        runs: the folders.
        seed: of the bootstrap, where it is not the usual one.
    """
    names = "-".join(path.name for path in runs)
    if len(names) > LONGEST:
        told = "\n".join(map(str, runs)).encode()
        names = f"{len(runs)}-runs-{hashlib.sha256(told).hexdigest()[:12]}"
    folder, number = Path("runs") / f"compare-{names}", 1
    while folder.exists() and not is_again(folder, runs, seed):
        number += 1
        folder = Path("runs") / f"compare-{names}-{number}"
    return folder


def is_again(folder: Path, runs: Sequence[Path], seed: int | None) -> bool:
    """Whether `folder` holds the comparison of exactly these runs, which then goes on in it."""
    if not (is_file(folder / MANIFEST) and is_file(folder / CONFIG)):
        return False
    try:
        data = load_yaml(folder / CONFIG).data
    except ConfigError:
        return False
    same = names_runs(data) and data["runs"] == [str(path) for path in runs]
    usual = RunsConfig.model_fields["seed"].default
    return same and data.get("seed", usual) == (usual if seed is None else seed)


def _is_run(text: str) -> bool:
    """Whether an argument is a folder, and not the name of a shipped config that is like one."""
    try:
        path = expanded(text)
    except PathError:
        return False
    if not is_folder(path):
        return False
    return is_file(path / MANIFEST) or text not in {config.name for config in shipped()}


def _absolute(text: str) -> Path:
    return expanded(text).resolve()
