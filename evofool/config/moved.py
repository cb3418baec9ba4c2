"""Nets of an ensemble whose files lie elsewhere than a config says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evofool.errors import ConfigError

_KEYS = ("name", "weights")
_SUFFIXES = (
    ".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz", ".h5", ".onnx", ".pt2", ".skops",
    ".yaml", ".yml",
)  # fmt: skip


def moved_nets(path: str, nets: Sequence[Any]) -> list[dict[str, Any]]:
    """The nets of an ensemble with their files where `path` says.

    A file takes the place of the one net whose file has its name, or of the one that is missing; in
    a folder, all files of the nets are looked for by their names.

    Args:
        path: of a file or a folder.
        nets: as a config writes them.

    Raises:
        ConfigError: no net, or more than one, has a file of that name.
    """
    written = [{"name": net} if isinstance(net, str) else dict(net) for net in nets]
    place = Path(path).expanduser()
    if place.is_dir():
        return [_within(net, place) for net in written]
    wanted = _path(path).name
    named = [
        (index, key)
        for index, net in enumerate(written)
        for key in _KEYS
        if _file(net.get(key)) == wanted
    ]
    which = "none" if not named else "more than one"
    if not named:  # it may have another name now, if it is clear which is missing
        named = [
            (index, key)
            for index, net in enumerate(written)
            for key in _KEYS
            if _file(net.get(key)) and not _path(net[key]).is_file()
        ]
    if len(named) != 1:
        files = [file for net in written for key in _KEYS if (file := _file(net.get(key)))]
        raise ConfigError(
            f"--classifier {path}: {which} of the ensemble's files is called {wanted}"
            f" ({', '.join(files) or 'no net of it is a file'}); give the file, or a folder that"
            " holds all of them under their old names"
        )
    index, key = named[0]
    written[index][key] = _replaced(str(written[index][key]), Path(path))
    return written


def _within(net: dict[str, Any], folder: Path) -> dict[str, Any]:
    moved = dict(net)
    for key in _KEYS:
        file = _file(net.get(key))
        if file and (folder / file).is_file():
            moved[key] = _replaced(str(net[key]), folder / file)
    return moved


def _file(value: Any) -> str:
    """The name of the file that `value` names, "" where it names none."""
    if not isinstance(value, str):
        return ""
    path = _path(value)
    return path.name if ".py:" in value or path.suffix in _SUFFIXES else ""


def _path(value: str) -> Path:
    return Path(value.rpartition(":")[0] if ".py:" in value else value.removeprefix("sklearn:"))


def _replaced(written: str, path: Path) -> str:
    """`path` in place of the file of `written`, with the function that stands behind it."""
    function = f":{written.rpartition(':')[2]}" if ".py:" in written else ""
    text = str(path)
    return text if ".py:" in text else f"{text}{function}"
