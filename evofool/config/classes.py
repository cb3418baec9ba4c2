"""From the classes a config names to the indices a victim knows."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from evofool.config.campaign import Campaign
from evofool.config.evolution import MapElitesConfig
from evofool.config.loading import Loaded
from evofool.config.values import RANGE, Classes
from evofool.text import suggestion
from evofool.validation import KeyPath


def cells(loaded: Loaded[Campaign], labels: Sequence[str]) -> tuple[int, ...]:
    """The class indices that a campaign evolves, ascending, each once.

    A text is a label, whole or one of its comma-separated names, in any case; where no label
    matches it may be an inclusive range such as ``151-285`` or a pattern such as ``*shark*``.

    Raises:
        ConfigError: no such class, or a label that several classes have.
    """
    evolution = loaded.config.evolution
    if not isinstance(evolution, MapElitesConfig):
        return (class_index(loaded, ("evolution", "target"), evolution.target, labels),)
    return chosen_classes(loaded, ("evolution", "classes"), evolution.classes, labels)


def chosen_classes(
    loaded: Loaded[Any], where: KeyPath, classes: Classes, labels: Sequence[str]
) -> tuple[int, ...]:
    """The indices that the list of classes at `where` names, ascending; raises as `cells`."""
    if classes == "all":
        return tuple(range(len(labels)))
    chosen: set[int] = set()
    for position, item in enumerate(classes):
        try:
            chosen.update(named_classes(item, labels))
        except LookupError as error:
            raise loaded.error_at((*where, position), str(error)) from None
    return tuple(sorted(chosen))


def named_classes(item: int | str, labels: Sequence[str]) -> list[int]:
    """The classes that an index, a label, a range such as ``151-285`` or a pattern names.

    A pattern holds ``*``, ``?`` or ``[...]`` and is matched against whole labels and against each
    of their comma-separated names, in any case. A label that looks like a range or a pattern is a
    label.

    Raises:
        LookupError: there is no such class, or a label that several classes have.
    """
    if isinstance(item, str) and item not in labels:
        if match := RANGE.fullmatch(item):
            last = find_class(int(match[2]), labels)
            return list(range(int(match[1]), last + 1))
        if any(character in item for character in "*?["):
            pattern = item.strip().casefold()
            folded = [label.casefold() for label in labels]
            matches = [
                index
                for index, label in enumerate(folded)
                if any(fnmatchcase(name, pattern) for name in (label, *_names(label)))
            ]
            if not matches:
                raise LookupError(f"no class matches {item!r}")
            return matches
    return [find_class(item, labels)]


def typed_classes(text: str, labels: Sequence[str]) -> list[int]:
    """As `named_classes`, of a text on a command line, where an index is digits.

    Raises:
        LookupError: as `named_classes`.
    """
    plain = text.isascii() and text.isdigit() and text not in labels
    return named_classes(int(text[:9]) if plain else text, labels)


def class_index(loaded: Loaded[Any], key: KeyPath, item: int | str, labels: Sequence[str]) -> int:
    """The index of a class that a config names at `key`.

    Raises:
        ConfigError: no such class, or a label that several classes have.
    """
    try:
        return find_class(item, labels)
    except LookupError as error:
        raise loaded.error_at(key, str(error)) from None


def find_class(item: int | str, labels: Sequence[str]) -> int:
    """The class of an index, or of a label or one of its comma-separated names, in any case.

    Raises:
        LookupError: no such class, or a label that several classes have.
    """
    if isinstance(item, int):
        if 0 <= item < len(labels):
            return item
        raise LookupError(f"no class {item}; this classifier has 0 to {len(labels) - 1}")
    wanted = _folded(item.strip())
    folded = [_folded(label) for label in labels]
    for names in ([[label] for label in folded], [_names(label) for label in folded]):
        matches = [index for index, own in enumerate(names) if wanted in own]
        if len(matches) == 1:
            return matches[0]
        if matches:
            which = ", ".join(str(index) for index in matches[:5])
            raise LookupError(f"classes {which} are all called {item!r}; give the index")
    mend = suggestion(item, _all_names(labels)) or " (an index works too)"
    raise LookupError(f"no class is called {item!r}{mend}")


def _all_names(labels: Sequence[str]) -> list[str]:
    """What people may have meant: whole labels, and the names that some are made of."""
    return list(dict.fromkeys((*(n for label in labels for n in _names(label)), *labels)))


def _folded(text: str) -> str:
    """Without case, and letters with accents composed: macOS names files otherwise."""
    return unicodedata.normalize("NFC", text).casefold()


def _names(label: str) -> list[str]:
    return [name.strip() for name in label.split(",")]
