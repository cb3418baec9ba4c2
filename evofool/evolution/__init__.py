"""Evolution: the search, its archive, the algorithms, and campaigns into run folders.

>>> search = evofool.evolution.MapElites(encoding, classes=10, seed=1)
>>> genomes = search.ask(50)
>>> search.tell(genomes, scores)                                         # N x classes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evofool.evolution.deap_toolbox import toolbox
    from evofool.evolution.map_elites import Champion, MapElites

__all__ = ["Champion", "MapElites", "toolbox"]

_HOMES = {
    "Champion": "evofool.evolution.map_elites",
    "MapElites": "evofool.evolution.map_elites",
    "toolbox": "evofool.evolution.deap_toolbox",
}


def __getattr__(name: str) -> object:
    # on demand: campaigns take the seconds that torch takes
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evofool.evolution' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
