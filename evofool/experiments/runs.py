"""What is asked of a run folder of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.classifiers import Classifier
from evofool.classifiers.live import handed_over
from evofool.errors import UsageError
from evofool.store import Check, Folder, Result

if TYPE_CHECKING:
    from evofool.experiments.engine.study import Study


@dataclass(frozen=True)
class _Kind:
    status: Callable[..., dict[str, Any]]
    resume: Callable[..., Result]
    verify: Callable[..., Iterator[Check]]


# each imported when a run of its kind is there: the others may take a second, for torch


def _evolve() -> _Kind:
    from evofool.evolution.campaign import resume
    from evofool.evolution.status import status
    from evofool.evolution.verify import verify

    return _Kind(status, resume, verify)


def _attack() -> _Kind:
    from evofool.experiments.attack.run import resume_attacks, status, verify_attacks

    return _Kind(status, resume_attacks, verify_attacks)


def _defend() -> _Kind:
    from evofool.experiments.defend_status import status, verify_defense
    from evofool.experiments.defending import resume_defense

    return _Kind(status, resume_defense, verify_defense)


def _retrain() -> _Kind:
    from evofool.experiments.retrain.study import RetrainStudy

    return _of_study(RetrainStudy)


def _costs() -> _Kind:
    from evofool.experiments.costs.study import CostsStudy

    return _of_study(CostsStudy)


def _of_study(study: type[Study[Any]]) -> _Kind:
    from evofool.experiments.engine import study as engine

    return _Kind(
        partial(engine.status, study), partial(engine.resume, study), partial(engine.verify, study)
    )


_KINDS: dict[str, Callable[[], _Kind]] = {
    "attack": _attack,
    "defend": _defend,
    "retrain": _retrain,
    "costs": _costs,
}


def kind_of(path: Path | str) -> str:
    """``evolve``, ``attack``, ``defend``...

    Raises:
        StoreError: no run folder, or a damaged one.
    """
    with Folder.open(Path(path)) as run:
        return str(run.manifest.get("kind"))


def status(path: Path | str) -> dict[str, Any]:
    """How far a run is, as JSON values; loads no classifier.

    Raises:
        StoreError: no run folder, or a damaged one.
    """
    return _of(path).status(path)


def resume(
    path: Path | str, *, classifier: str | Classifier | None = None, **arguments: Any
) -> Result:
    """Go on with a run of any kind; see `evofool.evolution.campaign.resume`.

    `classifier` may also be the victim itself, where the run was begun with a Python object.
    """
    with _named(path, classifier) as name:
        return _of(path).resume(path, classifier=name, **arguments)


def verify(
    path: Path | str,
    *,
    classifier: str | Classifier | None = None,
    encoding: str | None = None,
    engine: str | None = None,
) -> Iterator[Check]:
    """Whether a run folder is whole and its pictures do what it claims, check by check.

    Args:
        path: the run folder, or what ``evofool train`` wrote: weights, a card, a folder of them.
        classifier: as in `resume`.
        encoding: where the encoding is now, if its file has moved.
        engine: what scores the pictures of kinds evolve and attack again, see
            `evofool.evolution.verify.verify`.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its victim cannot be had.
        UsageError: an engine for another kind of run.
    """
    from evofool.experiments.training_verify import is_training, verify_training

    if is_training(Path(path)):
        if any(each is not None for each in (classifier, encoding, engine)):
            raise UsageError("--classifier, --encoding and --engine are for run folders only")
        yield from verify_training(Path(path))
        return
    options = {} if engine is None else {"engine": engine}
    kind = kind_of(path)
    if options and kind in _KINDS and kind != "attack":
        raise UsageError(f"--engine: the nets of a run of kind {kind} are scored by its config's")
    with _named(path, classifier) as name:
        yield from _of(path).verify(path, classifier=name, encoding=encoding, **options)


@contextmanager
def _named(path: Path | str, classifier: str | Classifier | None) -> Iterator[str | None]:
    """The name by which runs load a victim that is an object; None where the config has it."""
    if classifier is None or isinstance(classifier, str):
        yield classifier
        return
    with handed_over(classifier) as name:
        # an evaluation takes no other net than its config's
        yield None if kind_of(path) in ("defend", "retrain", "costs") else name


def _of(path: Path | str) -> _Kind:
    return _KINDS.get(kind_of(path), _evolve)()
