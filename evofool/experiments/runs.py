"""Status, resuming and verifying of a run folder, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool import kinds
from evofool.classifiers import Classifier
from evofool.classifiers.sources.live import handed_over
from evofool.errors import DamagedError, UsageError
from evofool.files import is_file
from evofool.kinds import Kind
from evofool.store import Check, Folder, Result
from evofool.store.manifest import MANIFEST, kind_in

if TYPE_CHECKING:
    from deap import base


def kind_of(path: Path | str) -> Kind:
    """The kind of a run folder.

    Raises:
        StoreError: no run folder, or a damaged one.
    """
    with Folder.open(Path(path)) as run:
        return kind_in(run.manifest, run.path)


def status(path: Path | str) -> dict[str, Any]:
    """How far a run has come, as JSON values; loads no classifier.

    Raises:
        StoreError: no run folder, or a damaged one.
    """
    content: dict[str, Any] = kind_of(path).part("status")(path)
    return content


def resume(
    path: Path | str,
    *,
    classifier: str | Classifier | None = None,
    toolbox: base.Toolbox | None = None,
    **arguments: Any,
) -> Result:
    """Continue a run of any kind; see `evofool.evolution.campaign.resume`.

    `classifier` may also be the victim itself, where the run was begun with a Python object.
    `toolbox` is the one with which a campaign was started, if a program replaced its tools.

    Raises:
        UsageError: a toolbox for another kind of run.
        StoreError: no run folder, or a damaged one; the message says what to do.
    """
    with _mended(Path(path)):
        kind = kind_of(path)
    if toolbox is not None:
        if kind.name != "evolve":
            raise UsageError(f"{path}: a run of kind {kind.name} takes no toolbox")
        arguments["toolbox"] = toolbox
    with _named(kind, classifier) as name, _mended(Path(path)):
        result: Result = kind.part("resume")(path, classifier=name, **arguments)
    return result


@contextmanager
def _mended(path: Path) -> Iterator[None]:
    """Add to what is said of damage which folder it is in, and what can be done."""
    try:
        yield
    except DamagedError as error:
        where = "" if str(path) in str(error) else f"{path}: "
        raise DamagedError(
            f"{where}{error}; it cannot go on: put the file back from a copy, or start a new run"
            f" (evofool verify {path} shows what is damaged)"
        ) from error


def verify(
    path: Path | str,
    *,
    classifier: str | Classifier | None = None,
    encoding: str | None = None,
    engine: str | None = None,
) -> Iterator[Check]:
    """Check that a run folder is intact and that its pictures do what they claim.

    Args:
        path: the run folder, or what ``evofool train`` wrote: weights, a card, a folder of them.
        classifier: as in `resume`.
        encoding: the new path of the encoding's file, if it has moved.
        engine: what scores the pictures of kinds evolve and attack again, see
            `evofool.evolution.verify.verify`.

    Raises:
        StoreError: no run folder, or one too damaged to check.
        ConfigError: its victim is not available.
        UsageError: an engine for another kind of run.
    """
    kind = _kind_of_result(Path(path)) or kind_of(path)
    if kind.is_result and any(each is not None for each in (classifier, encoding, engine)):
        raise UsageError("--classifier, --encoding and --engine are for run folders only")
    if engine is not None and not kind.one_victim:
        raise UsageError(
            f"--engine: a run of kind {kind.name} scores its nets with the engine of its config"
        )
    options = {} if engine is None else {"engine": engine}
    with _named(kind, classifier) as name:
        yield from kind.part("verify")(path, classifier=name, encoding=encoding, **options)


def _kind_of_result(path: Path) -> Kind | None:
    """The kind whose result `path` is where that is no run folder, None of all else."""
    if is_file(path / MANIFEST):
        return None
    with_results = (kind for kind in kinds.every() if kind.is_result)
    return next((kind for kind in with_results if kind.part("is_result")(path)), None)


@contextmanager
def _named(kind: Kind, classifier: str | Classifier | None) -> Iterator[str | None]:
    """The name by which runs load a victim that is an object; None where the config has it."""
    if classifier is None or isinstance(classifier, str):
        yield classifier
        return
    with handed_over(classifier) as name:
        # an evaluation takes no other net than its config's
        yield name if kind.one_victim else None
