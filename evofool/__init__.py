"""evofool: evolve images that fool a classifier, and count every query.

>>> import evofool
>>> victim = evofool.load_classifier("mnist-lenet")
>>> with evofool.Scorer(victim) as scorer:
...     scorer.confidence(images)                                    # N x classes
>>> run = evofool.evolve("configs/quickstart.yaml", "runs/first", seed=1)
>>> run.images(), run.to_frame()
>>> run = evofool.attack("configs/attack-mnist.yaml", "runs/attacks", seed=1)

Each name is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata as _metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from evofool.classifiers import Classifier, from_module, from_predict, load_classifier
    from evofool.data import load_dataset
    from evofool.errors import EvofoolError
    from evofool.evolution.map_elites import MapElites
    from evofool.experiments.export import export
    from evofool.experiments.library import (
        attack,
        defend,
        evolve,
        load_encoding,
        resume,
        status,
        train,
        verify,
    )
    from evofool.experiments.results import open_run
    from evofool.gallery import Gallery
    from evofool.scoring import Scorer

__all__ = [
    "Classifier",
    "EvofoolError",
    "MapElites",
    "Scorer",
    "__version__",
    "attack",
    "defend",
    "evolve",
    "export",
    "from_module",
    "from_predict",
    "load_classifier",
    "load_dataset",
    "load_encoding",
    "make_gallery",
    "open_run",
    "resume",
    "status",
    "train",
    "verify",
]

_HOMES = {
    "Classifier": "evofool.classifiers",
    "EvofoolError": "evofool.errors",
    "MapElites": "evofool.evolution.map_elites",
    "Scorer": "evofool.scoring",
    "attack": "evofool.experiments.library",
    "defend": "evofool.experiments.library",
    "evolve": "evofool.experiments.library",
    "export": "evofool.experiments.export",
    "from_module": "evofool.classifiers",
    "from_predict": "evofool.classifiers",
    "load_classifier": "evofool.classifiers",
    "load_dataset": "evofool.data",
    "load_encoding": "evofool.experiments.library",
    "open_run": "evofool.experiments.results",
    "resume": "evofool.experiments.library",
    "status": "evofool.experiments.library",
    "train": "evofool.experiments.library",
    "verify": "evofool.experiments.library",
}

try:
    __version__ = _metadata.version("evofool")
except _metadata.PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def make_gallery(
    runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Gallery:
    """Write a gallery page of run folders, with all pictures beside it; it opens in any browser.

    >>> evofool.make_gallery(run).page
    >>> evofool.make_gallery(["runs/a", "runs/b"], "page.html", single_file=True, top=20)

    Args:
        runs: a run folder, what `evolve` or `attack` returned, or several of these.
        out: the folder to write to; needed for several runs, by default ``gallery/`` inside the
            run. With ``single_file`` the page itself.
        options: those of `evofool.gallery.Options`: ``top`` (how many pictures of each run),
            ``classes``, ``ancestry``, ``scores``, ``single_file``, ``title``.

    Returns:
        Paths of the page and the contact sheet, and the number of pictures.

    Raises:
        StoreError: no run folder, a damaged one, or `out` cannot be written.
        UsageError: several runs without `out`, an unknown option, or a page that would be too
            large.
        ConfigError: an encoding is not available.
    """
    import dataclasses
    from pathlib import Path

    from evofool.errors import UsageError
    from evofool.gallery import Options, build
    from evofool.text import suggestion

    known = [field.name for field in dataclasses.fields(Options)]
    for key in options:
        if key not in known:
            mend = suggestion(key, known) or f"; there are {', '.join(known)}"
            raise UsageError(f"make_gallery has no option {key!r}{mend}")
    paths = list(runs) if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    where = None if out is None else Path(out)
    return build([Path(path) for path in paths], where, Options(**options))


def __getattr__(name: str) -> object:
    # on demand: importing evofool must not take the seconds that torch takes
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evofool' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
