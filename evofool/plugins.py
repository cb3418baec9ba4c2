"""Classes of third parties: from ``path/to/file.py:Class``, or from an installed entry point.

Encodings and attacks are found by the same two rules. A file is code and is run as such. Modules
beside it are imported as for a script, and belong to that one load (`UserCode`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from evofool.errors import OptionError
from evofool.files import PathError, expanded, read_file, reason, short
from evofool.text import suggestion

MAX_SOURCE = 1 << 24
"""Most bytes of a file that is run."""


@dataclass(frozen=True)
class ClassSource:
    """A class, with path and sha256 where it comes from a file of the user's."""

    factory: type[Any]
    path: Path | None = None
    sha256: str | None = None


def in_file(name: str) -> bool:
    """Whether `name` has the form ``path/to/file.py:Class``."""
    return ".py:" in name


def file_is_missing(name: str) -> bool:
    """Whether `name` is ``path/to/file.py:Class`` and there is no such file."""
    return in_file(name) and not Path(name.rpartition(":")[0]).expanduser().is_file()


def class_from_file(name: str, error: type[OptionError]) -> ClassSource:
    """The class that ``path/to/file.py:Class`` names, its file run anew.

    Args:
        name: the text; a relative path starts from the working directory.
        error: what is raised.

    Raises:
        OptionError: (as `error`) no such file or class, or the file fails to import.
    """
    file, _, attribute = name.rpartition(":")
    try:
        path = expanded(file).resolve()
        data = read_file(path, MAX_SOURCE)
    except (OSError, PathError) as failure:
        raise error(f"{short(file)}: cannot be read ({reason(failure)})") from failure
    # imported here: shipped classes need none of it
    from evofool.classifiers.sources.user_code import UserCode

    code = UserCode(path)
    try:
        with code.loading():
            module = code.run()
    except (Exception, SystemExit) as failure:  # the file is the user's: all of it is its fault
        raise error(f"{file}: fails to import ({type(failure).__name__}: {failure})") from failure
    factory = getattr(module, attribute, None)
    if not isinstance(factory, type):
        own = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        raise error(f"{file}: has no class named {attribute!r}{suggestion(attribute, own)}")
    return ClassSource(factory, path, hashlib.sha256(data).hexdigest())


def entry_names(group: str) -> tuple[str, ...]:
    """The names that installed packages offer in an entry point group, in order."""
    return tuple(sorted(_points(group)))


def class_from_entry_point(group: str, name: str, error: type[OptionError]) -> ClassSource | None:
    """The class that an installed package offers as `name`; None where no package does.

    Args:
        group: of entry points, ``evofool.encodings``.
        name: in the group.
        error: what is raised.

    Raises:
        OptionError: (as `error`) the package fails to import, or what it offers is no class.
    """
    point = _points(group).get(name)
    if point is None:
        return None
    package = point.dist.name if point.dist is not None else point.module
    try:
        factory = point.load()
    except Exception as failure:  # the package is a stranger's: whatever it raises is its fault
        raise error(
            f"{name}: {point.value} of the installed package {package} fails to import"
            f" ({type(failure).__name__}: {failure})"
        ) from failure
    if not isinstance(factory, type):
        raise error(f"{name}: {point.value} of the installed package {package} is not a class")
    return ClassSource(factory)


def _points(group: str) -> Mapping[str, EntryPoint]:
    """By name; of several packages that offer one name, the one that Python finds first."""
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        points.setdefault(point.name, point)
    return points
