"""Names of the classes: the lists that ship, and lists from a user's text or JSON file."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any

from evofool.errors import ClassifierError
from evofool.files import read_file

MAX_FILE = 16 * 1024 * 1024
"""Largest file of labels that is read, in bytes."""

_FOLDER = Path(__file__).parent / "labels"
_LINE = re.compile("\r\n|\r|\n")
"""What ends a line. `str.splitlines` also splits at form feeds, U+0085, U+2028 and others, and
every label after such a character would move by one."""

_KEYS = ("id2label", "idx_to_class", "class_to_idx", "label2id")
"""Where a larger JSON object, such as the ``config.json`` of a model hub, holds the labels."""


@cache
def shipped_labels(name: str) -> tuple[str, ...]:
    """One of the lists in ``labels/``: such as ``imagenet``, ``digits``, ``gtsrb``."""
    text = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(_lines(text))


def numbered_labels(n_classes: int) -> tuple[str, ...]:
    """``"0"`` to ``"n-1"``, for victims whose class names nobody gave."""
    return tuple(str(index) for index in range(n_classes))


def read_labels(path: Path) -> tuple[str, ...]:
    """Labels of a UTF-8 file, with or without a byte order mark: one per line, or (``.json``) JSON.

    JSON may be a list of names; an object ``{"0": name, ...}``; ``imagenet_class_index.json``,
    whose values are ``[WordNet id, name]``; the reverse ``{name: index}``, such as torchvision's
    ``class_to_idx`` (meant wherever the values are the integers 0 to n-1, each once); or an object
    that holds one of these under ``id2label``, ``idx_to_class``, ``class_to_idx`` or ``label2id``.

    Raises:
        ClassifierError: missing, not UTF-8, not JSON, an empty label, a key twice, or indices with
            gaps.
    """
    try:
        data = read_file(path, MAX_FILE)
    except OSError as error:
        raise ClassifierError(f"labels: {path}: cannot be read ({error.strerror})") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        hint = " (it is UTF-16)" if wide else ""
        raise ClassifierError(
            f"labels: {path}: is not UTF-8 text{hint}; save it as UTF-8"
        ) from error
    if path.suffix.lower() != ".json":
        if text.lstrip().startswith("{"):
            raise ClassifierError(
                f"labels: {path}: begins with {{, so it does not hold one name per line; save it"
                " as JSON in a file that ends in .json"
            )
        return check_labels(_lines(text), str(path))
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ClassifierError(f"labels: {path}: is not JSON ({error})") from error
    if isinstance(content, dict):
        content = _from_object(content, path)
    if not isinstance(content, list):
        raise ClassifierError(f"labels: {path}: must hold a list of names or an object of them")
    return check_labels([_name(entry) for entry in content], str(path))


def check_labels(labels: Sequence[object], where: str) -> tuple[str, ...]:
    """`labels` as a tuple of at least two non-empty strings (two classes may share a name).

    Raises:
        ClassifierError: fewer than two, or one that is empty, no string or integer, or text that
            no file can hold.
    """
    if isinstance(labels, str | bytes):
        raise ClassifierError(f"labels: {where}: {labels[:40]!r} is one text, not a list of names")
    checked: list[str] = []
    for index, label in enumerate(labels):
        if isinstance(label, bool) or not isinstance(label, str | Integral):
            raise ClassifierError(
                f"labels: {where}: entry {index} is {repr(label)[:100]}, not a name"
            )
        name = str(label).strip()
        if not name:
            raise ClassifierError(f"labels: {where}: entry {index} is {label!r}, not a name")
        if not name.isprintable():  # looked at more closely only then: most lists are plain
            _check_text(name, f"labels: {where}: entry {index}")
        checked.append(name)
    if len(checked) < 2:
        raise ClassifierError(
            f"labels: {where}: {len(checked)} given, but a classifier needs at least two classes"
            " (a net that gives one value per picture: task: binary, labels: [no, yes])"
        )
    return tuple(checked)


def _check_text(name: str, where: str) -> None:
    """Refuse now what would end a run when its files are written."""
    if "\0" in name:
        raise ClassifierError(f"{where} {name[:100]!r} holds a NUL character")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ClassifierError(
            f"{where} {name[:100]!r} holds half of a surrogate pair, which no file can hold"
        ) from error


def _lines(text: str) -> list[str]:
    return _LINE.split(text.rstrip("\r\n")) if text else []


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:100]!r} is given twice")
    return content


def _from_object(content: Mapping[str, Any], path: Path) -> list[Any]:
    """The labels of an object in the order of their indices."""
    inner = next((content[key] for key in _KEYS if isinstance(content.get(key), dict)), content)
    indices, n = list(inner.values()), len(inner)
    if n and all(type(index) is int for index in indices):
        if sorted(indices) == list(range(n)):
            return sorted(inner, key=lambda name: int(inner[name]))
        if not all(str(index) in inner for index in range(n)):
            raise ClassifierError(
                f"labels: {path}: gives {n} names with an index; the indices must be 0 to"
                f" {n - 1}, each once"
            )
    try:
        return [inner[str(index)] for index in range(n)]
    except KeyError as error:
        raise ClassifierError(
            f'labels: {path}: an object must have the keys "0" to "{n - 1}", but {error} is missing'
        ) from error


def _name(entry: Any) -> Any:
    """The name in one entry: the second of ``[WordNet id, name]``."""
    pair = isinstance(entry, list) and len(entry) == 2 and all(isinstance(x, str) for x in entry)
    return entry[1] if pair else entry
