"""What a shell offers at the Tab key; nothing here imports torch, which takes seconds."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator
from pathlib import Path

from evofool.errors import EvofoolError

WIDTH = 60
"""Characters of a description: fish takes the second line of a longer one for another word."""


def configs(incomplete: str) -> list[tuple[str, str]]:
    """Shipped configs with what they are, then config files and folders of the user's."""
    from evofool.config import shipped

    matching: list[tuple[str, str]] = []
    with contextlib.suppress(EvofoolError):
        matching = [
            (config.name, textwrap.shorten(config.description, WIDTH, placeholder="..."))
            for config in shipped()
            if config.name.startswith(incomplete)
        ]
    return (
        matching
        + [(str(path), "") for path in _paths(incomplete) if path.suffix in (".yaml", ".yml")]
        + _folders(incomplete)
    )


def runs(incomplete: str) -> list[tuple[str, str]]:
    """Run folders, and folders that may hold some."""
    return [
        (name, "a run" if (Path(name) / "manifest.json").is_file() else about)
        for name, about in _folders(incomplete)
    ]


def classifiers(incomplete: str) -> list[str]:
    """Victims that can be named without a file."""
    from evofool.classifiers import names

    return [name for name in names() if name.startswith(incomplete)]


def _folders(incomplete: str) -> list[tuple[str, str]]:
    return [(str(path), "a folder") for path in _paths(incomplete) if path.is_dir()]


def _paths(incomplete: str) -> Iterator[Path]:
    """What there is that begins so, in order; hidden files only where a dot is typed."""
    folder = Path(incomplete if incomplete.endswith("/") else Path(incomplete).parent)
    begun = "" if incomplete.endswith("/") or not incomplete else Path(incomplete).name
    with contextlib.suppress(OSError, ValueError):
        for path in sorted(folder.iterdir()):
            if path.name.startswith(begun) and not (path.name.startswith(".") and not begun):
                yield path
