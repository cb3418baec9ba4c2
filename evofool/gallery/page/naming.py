"""The names of victims on a page: for a file its name alone, never the path to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from evofool.config.folders import without_prefix, written_as_folder
from evofool.text import bare

_SUFFIXES = (".py", ".onnx", ".pt2", ".safetensors", ".skops", ".pth", ".pt", ".ckpt", ".bin")


def display_names(victims: Sequence[str]) -> dict[str, str]:
    """A short name for each victim: ``/home/ann/nets/mine.py:net`` is ``mine.py:net``.

    Two victims never share one: as many folders come before a file as tell them apart.
    """
    different = list(dict.fromkeys(victims))
    names_by_victim = {victim: _short(victim, 0) for victim in different}
    deepest = max((len(_path(victim).parts) for victim in different), default=0)
    for folders in range(1, deepest):
        names = list(names_by_victim.values())
        doubtful = [victim for victim in different if names.count(names_by_victim[victim]) > 1]
        if not doubtful:
            break
        names_by_victim |= {victim: _short(victim, folders) for victim in doubtful}
    return names_by_victim


def display_name(victim: str) -> str:
    """The short name of a victim that stands alone."""
    return display_names([victim])[victim]


def _short(victim: str, folders: int) -> str:
    path, function = _parts(victim)
    if not _is_file(path):
        return bare(victim)
    kept = _path(victim).parts[-1 - folders :]
    name = "/".join(part for part in kept if part not in ("/", "\\", "~"))
    return bare(f"{name}:{function}" if function else name) or bare(victim)


def _parts(victim: str) -> tuple[str, str]:
    """The path, and the function of ``path.py:function``."""
    if written_as_folder(without_prefix(victim)):
        victim = without_prefix(victim)
    path, _, function = victim.rpartition(":")
    return (path, function) if path.endswith(".py") else (victim, "")


def _path(victim: str) -> PurePath:
    return PurePath(_parts(victim)[0].replace("\\", "/"))


def _is_file(path: str) -> bool:
    plain = path.replace("\\", "/")
    return (
        plain.startswith(("/", "~", "./", "../"))
        or plain[1:3] == ":/"
        or ("/" in plain and plain.lower().endswith(_SUFFIXES))
    )
