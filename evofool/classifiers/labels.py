"""Names of the classes: the lists that ship, and lists from a user's text or JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from evofool.errors import ClassifierError

_FOLDER = Path(__file__).parent / "labels"


@cache
def shipped_labels(name: str) -> tuple[str, ...]:
    """One of the lists in ``labels/``: such as ``imagenet``, ``digits``, ``gtsrb``."""
    text = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def numbered_labels(n_classes: int) -> tuple[str, ...]:
    """``"0"`` to ``"n-1"``, for victims whose class names nobody gave."""
    return tuple(str(index) for index in range(n_classes))


def read_labels(path: Path) -> tuple[str, ...]:
    """Labels of a file: one a line, or (``.json``) a list, or an object ``{"0": name, ...}``.

    Raises:
        ClassifierError: missing, not UTF-8, not JSON, an empty label, or indices with gaps.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ClassifierError(f"labels: {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ClassifierError(f"labels: {path}: is not UTF-8 text") from error
    if path.suffix != ".json":
        return check_labels(text.rstrip("\r\n").splitlines(), str(path))
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ClassifierError(f"labels: {path}: is not JSON ({error})") from error
    if isinstance(content, dict):
        try:
            content = [content[str(index)] for index in range(len(content))]
        except KeyError as error:
            raise ClassifierError(
                f'labels: {path}: an object must have the keys "0" to "{len(content) - 1}",'
                f" {error} is missing"
            ) from error
    if not isinstance(content, list):
        raise ClassifierError(f"labels: {path}: must hold a list of names or an object of them")
    return check_labels(content, str(path))


def check_labels(labels: Sequence[object], where: str) -> tuple[str, ...]:
    """`labels` as a tuple of at least two non-empty strings (two classes may share a name).

    Raises:
        ClassifierError: fewer than two, or one that is empty or no string or integer.
    """
    checked: list[str] = []
    for index, label in enumerate(labels):
        if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip():
            raise ClassifierError(f"labels: {where}: entry {index} is {label!r}, not a name")
        checked.append(str(label).strip())
    if len(checked) < 2:
        raise ClassifierError(
            f"labels: {where}: {len(checked)} given, a classifier needs two classes at least"
        )
    return tuple(checked)
