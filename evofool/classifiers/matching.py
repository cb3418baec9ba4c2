"""Which class of a victim each class of a data set is, although their names may differ."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evofool.classifiers.labels import numbered_labels
from evofool.config import find_class

_MOST = 5
"""Pairs of names that a note shows."""


def match_classes(
    names: Sequence[str], labels: Sequence[str], *, by_index: bool = False
) -> tuple[list[int], str]:
    """For each class of a data set the index of the victim's class, and a note for the user.

    Classes are matched by name. Class k of the data set is class k of the victim

    - with `by_index`;
    - where the victim's classes have no names, only numbers;
    - where most names agree, each at its own index, and those that differ are clearly the same:
      there is only one, or each pair shares a word (``T-shirt`` and ``T-shirt/top``).

    Args:
        names: of the data set's classes.
        labels: of the victim's.
        by_index: go by the index whatever the names are.

    Returns:
        One index for each of `names`, and a sentence where names differ, else "".

    Raises:
        LookupError: a class of the data set has no counterpart.
    """
    names, labels = tuple(names), tuple(labels)
    n = len(names)
    if names == labels:
        return list(range(n)), ""
    if by_index:
        if n != len(labels):
            raise LookupError(f"{n} classes cannot be matched by index with {len(labels)} classes")
        return list(range(n)), _note(names, labels)
    indices: list[int | None] = []
    first: LookupError | None = None
    for name in names:
        try:
            indices.append(find_class(name, labels))
        except LookupError as error:
            indices.append(None)
            first = first or error
    if first is None:
        return [index for index in indices if index is not None], ""
    if n == len(labels):
        if labels == numbered_labels(n):
            return list(range(n)), (
                "the classifier's classes have no names, so they are matched by index"
            )
        other = [k for k in range(n) if indices[k] is None]
        at_home = all(index in (None, k) for k, index in enumerate(indices))
        same = len(other) == 1 or all(_words(names[k]) & _words(labels[k]) for k in other)
        if at_home and same and 2 * len(other) <= n:
            return list(range(n)), _note(names, labels)
    raise first


def _note(names: Sequence[str], labels: Sequence[str]) -> str:
    pairs = [
        f"{index} is {theirs[:60]!r} for {own[:60]!r}"
        for index, (own, theirs) in enumerate(zip(names, labels, strict=True))
        if own != theirs
    ]
    more = f" and {len(pairs) - _MOST} more" if len(pairs) > _MOST else ""
    return f"classes are matched by index where names differ: {', '.join(pairs[:_MOST])}{more}"


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]{2,}", text.casefold()))
