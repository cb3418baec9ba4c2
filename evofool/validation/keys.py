"""Paths of keys, and how messages and overrides write them: ``attacks[0].eps``."""

from __future__ import annotations

import re
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys of mappings and numbers of list items, from the outermost."""
_ITEM = re.compile(r"(.*?)((?:\[\d{1,9}\])+)")


def dotted(path: KeyPath) -> str:
    """``("attacks", 0, "eps")`` as ``attacks[0].eps``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def key_path(key: str | KeyPath) -> KeyPath:
    """``"attacks[0].eps"`` as ``("attacks", 0, "eps")``; a path stays as it is."""
    if not isinstance(key, str):
        return key
    path: list[str | int] = []
    for part in key.split(".") if key else ():
        items = _ITEM.fullmatch(part)
        name, numbers = (items[1], items[2]) if items else (part, "")
        if name or not numbers:
            path.append(name)
        path += [int(number) for number in re.findall(r"\d+", numbers)]
    return tuple(path)
