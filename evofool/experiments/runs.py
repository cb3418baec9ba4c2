"""What is asked of a run folder of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.errors import UsageError
from evofool.store import Check, Result, RunFolder


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
    from evofool.attacks.campaign import resume_attacks
    from evofool.attacks.status import status
    from evofool.attacks.verify import verify_attacks

    return _Kind(status, resume_attacks, verify_attacks)


def _defend() -> _Kind:
    from evofool.experiments.defend_status import status, verify_defense
    from evofool.experiments.defending import resume_defense

    return _Kind(status, resume_defense, verify_defense)


def _retrain() -> _Kind:
    from evofool.experiments.retrain_status import status, verify_retraining
    from evofool.experiments.retraining import resume_retraining

    return _Kind(status, resume_retraining, verify_retraining)


def _costs() -> _Kind:
    from evofool.experiments.costs import resume_costs
    from evofool.experiments.costs_status import status, verify_costs

    return _Kind(status, resume_costs, verify_costs)


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
    with RunFolder.open(Path(path)) as run:
        return str(run.manifest.get("kind"))


def status(path: Path | str) -> dict[str, Any]:
    """How far a run is, as JSON values; loads no classifier.

    Raises:
        StoreError: no run folder, or a damaged one.
    """
    return _of(path).status(path)


def resume(path: Path | str, **arguments: Any) -> Result:
    """Go on with a run of any kind; see `evofool.evolution.campaign.resume`."""
    return _of(path).resume(path, **arguments)


def verify(
    path: Path | str, *, classifier: str | None = None, engine: str | None = None
) -> Iterator[Check]:
    """Whether a run folder is whole and its pictures do what it claims, check by check.

    Args:
        path: the run folder, or what ``evofool train`` wrote: weights, a card, a folder of them.
        classifier: where the victim is now, if its file has moved.
        engine: what scores the pictures of kinds evolve and attack again, see
            `evofool.evolution.verify.verify`.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its victim cannot be had.
        UsageError: an engine for another kind of run.
    """
    from evofool.experiments.training_verify import is_training, verify_training

    if is_training(Path(path)):
        if classifier is not None or engine is not None:
            raise UsageError("--classifier and --engine are for run folders, not for trained nets")
        return verify_training(Path(path))
    if engine is None:
        return _of(path).verify(path, classifier=classifier)
    kind = kind_of(path)
    if kind in _KINDS and kind != "attack":
        raise UsageError(f"--engine: the nets of a run of kind {kind} are scored by its config's")
    return _of(path).verify(path, classifier=classifier, engine=engine)


def _of(path: Path | str) -> _Kind:
    return _KINDS.get(kind_of(path), _evolve)()
