"""evofool: evolve images that fool a classifier, and count every query.

>>> import evofool
>>> victim = evofool.load_classifier("mnist-lenet")
>>> with evofool.Scorer(victim) as scorer:
...     scorer.confidence(images)                                    # N x classes
>>> run = evofool.evolve("configs/quickstart.yaml", "runs/first", seed=1)
>>> run = evofool.attack("configs/attack-mnist.yaml", "runs/attacks", seed=1)
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evofool.classifiers import Classifier, from_module, from_predict, load_classifier
    from evofool.errors import EvofoolError
    from evofool.experiments.library import attack, defend, evolve
    from evofool.experiments.runs import resume
    from evofool.scoring import Scorer

__all__ = [
    "Classifier",
    "EvofoolError",
    "Scorer",
    "__version__",
    "attack",
    "defend",
    "evolve",
    "from_module",
    "from_predict",
    "load_classifier",
    "resume",
]

_HOMES = {
    "Classifier": "evofool.classifiers",
    "EvofoolError": "evofool.errors",
    "Scorer": "evofool.scoring",
    "attack": "evofool.experiments.library",
    "defend": "evofool.experiments.library",
    "evolve": "evofool.experiments.library",
    "from_module": "evofool.classifiers",
    "from_predict": "evofool.classifiers",
    "load_classifier": "evofool.classifiers",
    "resume": "evofool.experiments.runs",
}

try:
    __version__ = metadata.version("evofool")
except metadata.PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> object:
    # on demand: importing evofool must not take the seconds that torch takes
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evofool' has no attribute {name!r}")
