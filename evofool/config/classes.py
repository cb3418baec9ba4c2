"""From the classes a config names to the indices a victim knows."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from evofool.config.document import KeyPath
from evofool.config.explain import near
from evofool.config.loading import Loaded
from evofool.config.models import RANGE, Campaign, Classes, MapElitesConfig


def cells(loaded: Loaded[Campaign], labels: Sequence[str]) -> tuple[int, ...]:
    """The class indices that a campaign evolves, ascending, each once.

    A text is a label, whole or one of its comma-separated names, in any case; where no label
    matches it may be an inclusive range such as ``151-285``.

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
    found: set[int] = set()
    for position, item in enumerate(classes):
        key: KeyPath = (*where, position)
        match = RANGE.fullmatch(item) if isinstance(item, str) and item not in labels else None
        if match:
            first, last = int(match[1]), int(match[2])
            class_index(loaded, key, last, labels)
            found.update(range(first, last + 1))
        else:
            found.add(class_index(loaded, key, item, labels))
    return tuple(sorted(found))


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
        found = [index for index, own in enumerate(names) if wanted in own]
        if len(found) == 1:
            return found[0]
        if found:
            which = ", ".join(str(index) for index in found[:5])
            raise LookupError(f"classes {which} are all called {item!r}; give the index")
    raise LookupError(f"no class is called {item!r}{near(wanted, folded)} (an index works too)")


def _folded(text: str) -> str:
    """Without case, and letters with accents composed: macOS names files otherwise."""
    return unicodedata.normalize("NFC", text).casefold()


def _names(label: str) -> list[str]:
    return [name.strip() for name in label.split(",")]
