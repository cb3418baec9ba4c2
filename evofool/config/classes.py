"""From the classes a config names to the indices a victim knows."""

from __future__ import annotations

from collections.abc import Sequence

from evofool.config.document import KeyPath
from evofool.config.explain import near
from evofool.config.loading import Loaded
from evofool.config.models import RANGE, Campaign, MapElitesConfig


def cells(loaded: Loaded[Campaign], labels: Sequence[str]) -> tuple[int, ...]:
    """The class indices that a campaign evolves, ascending, each once.

    A text is a label, whole or one of its comma-separated names, in any case; where no label
    matches it may be an inclusive range such as ``151-285``.

    Raises:
        ConfigError: no such class, or a label that several classes have.
    """
    evolution = loaded.config.evolution
    if not isinstance(evolution, MapElitesConfig):
        return (_index(loaded, ("evolution", "target"), evolution.target, labels),)
    if evolution.classes == "all":
        return tuple(range(len(labels)))
    found: set[int] = set()
    for position, item in enumerate(evolution.classes):
        key: KeyPath = ("evolution", "classes", position)
        match = RANGE.fullmatch(item) if isinstance(item, str) and item not in labels else None
        if match:
            first, last = int(match[1]), int(match[2])
            _index(loaded, key, last, labels)
            found.update(range(first, last + 1))
        else:
            found.add(_index(loaded, key, item, labels))
    return tuple(sorted(found))


def _index(loaded: Loaded[Campaign], key: KeyPath, item: int | str, labels: Sequence[str]) -> int:
    if isinstance(item, int):
        if item < len(labels):
            return item
        raise loaded.error_at(key, f"no class {item}; this classifier has 0 to {len(labels) - 1}")
    wanted = item.strip().casefold()
    folded = [label.casefold() for label in labels]
    for names in ([[label] for label in folded], [_names(label) for label in folded]):
        found = [index for index, own in enumerate(names) if wanted in own]
        if len(found) == 1:
            return found[0]
        if found:
            which = ", ".join(str(index) for index in found[:5])
            raise loaded.error_at(key, f"classes {which} are all called {item!r}; give the index")
    raise loaded.error_at(
        key, f"no class is called {item!r}{near(wanted, folded)} (an index works too)"
    )


def _names(label: str) -> list[str]:
    return [name.strip() for name in label.split(",")]
