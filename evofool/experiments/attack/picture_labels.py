"""Classes of pictures from the names of their files, or from a CSV file beside them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from evofool.config import find_class
from evofool.errors import ConfigError
from evofool.files import read_file
from evofool.text import printable

MAX_STARS = 3
MAX_LABEL_FILE = 64 * 1024 * 1024
MAX_NAME = 300
"""Most characters of a picture's name that are kept."""
_SHOWN = 3
"""Names that a note shows."""


def by_pattern(
    pattern: str, names: Sequence[str], labels: tuple[str, ...], error: ConfigError
) -> dict[str, int]:
    """The class of every picture whose name, without its ending, fits `pattern`.

    Args:
        pattern: ``{class}`` once, and ``*`` for anything but a slash.
        names: of pictures, with slashes.
        labels: of the victim.
        error: the place of the pattern in the config, which messages begin with.

    Raises:
        ConfigError: none fits, or a name holds no class of the victim.
    """
    parts = re.split(r"(\*|\{class\})", pattern)
    if parts.count("*") > MAX_STARS:  # each multiplies what a name can cost
        raise ConfigError(f"{error}a pattern of names may have at most {MAX_STARS} stars")
    wild = {"*": "[^/]*", "{class}": "(?P<label>[^/]+)"}
    matcher = re.compile("".join(wild.get(part, re.escape(_composed(part))) for part in parts))
    rows = {}
    for name in names:
        match = matcher.fullmatch(_composed(str(PurePosixPath(name).with_suffix(""))))
        if match:
            rows[name] = _class(match["label"], labels, f"{error}{shown(name)}")
    if not rows:
        raise ConfigError(
            f"{error}no picture matches {pattern} (the first picture is {shown(names[0])})"
        )
    return rows


def by_file(path: Path, labels: tuple[str, ...], error: ConfigError) -> dict[str, int]:
    """The rows of a CSV with the columns ``file`` and ``label``; other columns are passed over.

    Raises:
        ConfigError: it is no such file, names a picture twice, or a class the victim has not.
    """
    try:
        data = read_file(path, MAX_LABEL_FILE)
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        if not {"file", "label"} <= set(reader.fieldnames or ()):
            raise ValueError("has no columns `file` and `label`")
        rows: dict[str, int] = {}
        for row in reader:
            where = f"{error}{path}:{reader.line_num}"
            name = PurePosixPath(row["file"] or "").as_posix()
            if name in rows:
                raise ConfigError(f"{where}: {shown(name)} occurs twice")
            rows[name] = _class(row["label"] or "", labels, where)
    except (OSError, ValueError, csv.Error) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise ConfigError(f"{error}{path}: cannot be used as labels ({reason})") from failure
    return rows


def assigned(
    names: Sequence[str], rows: Mapping[str, int], file: Path
) -> tuple[dict[str, int], tuple[str, ...]]:
    """The classes of those pictures that have a row, and notes for the user.

    A name that is written differently in the CSV counts as the same where only one can be meant:
    macOS decomposes letters with accents (NFD) and most editors do not, Windows writes
    backslashes.

    Args:
        names: of pictures, with slashes.
        rows: classes by the names in the CSV.
        file: that CSV, for notes.
    """
    classes = {name: rows[name] for name in names if name in rows}
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if name not in classes:
            alike[_composed(name)].append(name)
    without = []
    for row, label in rows.items():
        if row in classes:
            continue
        meant = alike.pop(_composed(row.replace("\\", "/")), [])
        if len(meant) == 1:
            classes[meant[0]] = label
        else:
            without.append(row)
    unlabelled = [name for name in names if name not in classes]
    notes = []
    if unlabelled:
        notes.append(f"{counted(unlabelled, 'picture')} left out, without a label")
    if without:
        notes.append(f"{counted(without, 'row')} of {file.name} without a picture in the folder")
    return classes, tuple(notes)


def counted(names: Sequence[str], what: str) -> str:
    """``5 pictures (a.png, b.png, c.png and 2 more)``."""
    first = ", ".join(shown(name) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'} ({first}{more})"


def shown(name: str) -> str:
    """A picture's name as messages, rows and pages have it."""
    return unicodedata.normalize("NFC", printable(name))[:MAX_NAME]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _class(text: str, labels: tuple[str, ...], where: str) -> int:
    try:
        return _class_of(text.strip(), labels)
    except LookupError as error:
        raise ConfigError(f"{where}: {error}") from None


@cache
def _class_of(text: str, labels: tuple[str, ...]) -> int:
    plain = re.fullmatch(r"[0-9]{1,9}", text)
    if plain and text not in labels:
        return find_class(int(text), labels)
    return find_class(text[:MAX_NAME], labels)
