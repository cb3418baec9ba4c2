"""Runs of attacks as commands and programs begin them, go on with them and ask about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evofool.config import AttackCampaign, Loaded
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import OnProgress, study
from evofool.experiments.engine.study import Options
from evofool.store import Check, Result


def attack(
    source: Path | str | Mapping[str, Any] | AttackCampaign | Loaded[AttackCampaign],
    out: Path | str,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    command: str | None = None,
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
    pictures_when_stopped: bool = False,
) -> Result:
    """Run the attacks of a config into a new run folder.

    Args:
        source: a config file, the name of a shipped one, a mapping, or a config object.
        out: the run folder, which must not hold anything yet.
        seed: instead of the config's.
        overrides: ``key.sub=value``.
        command: the command line, for the manifest.
        progress: called now and then, from this thread.
        should_stop: asked before every request to the victim; once it is true the run ends as
            interrupted, everything up to the last chunk saved.
        pictures_when_stopped: make pictures and tables of that then and return, instead of raising
            `Interrupted`.

    Raises:
        ConfigError: the config is wrong, or does not fit its victim.
        StoreError: the folder cannot be used.
        ScoringError: the victim failed; what was done so far is saved.
    """
    options = Options(progress, should_stop, draw_when_stopped=pictures_when_stopped)
    return study.begin(
        AttackStudy, source, out, seed=seed, overrides=overrides, command=command, options=options
    )


def resume_attacks(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Go on with a run of attacks from its folder, to the same end as if it had never stopped.

    A config that was edited since is another plan: what it shares with the old one is kept.

    Args:
        path: the run folder. Its images are needed only if it stopped before all were stored, or
            if other ones are wanted now.
        classifier: where the victim is now, if its file has moved; its digest must be the same.
        encoding: not for this kind of run.
        overrides: of ``scoring.workers`` and ``scoring.budget`` only. With a larger budget, what a
            spent one had cut short is attacked anew, and nothing else.
        progress: as in `attack`.
        should_stop: as in `attack`.

    Raises:
        FolderError: no run of attacks, other images, or another victim than it was made with.
        StoreError: a damaged run folder.
        RunBusyError: another process is running it.
        ConfigError, UsageError: an override that would change the result.
    """
    return study.resume(
        AttackStudy, path, classifier=classifier, encoding=encoding, overrides=overrides,
        options=Options(progress, should_stop),
    )  # fmt: skip


def status(path: Path | str) -> dict[str, Any]:
    """Status and counts as JSON values; loads no classifier.

    Raises:
        StoreError: no run of attacks, or a damaged one.
    """
    return study.status(AttackStudy, path)


def verify_attacks(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    engine: str | None = None,
) -> Iterator[Check]:
    """Check a run of attacks, each check as soon as it is done.

    Args:
        path: the run folder.
        classifier: where the victim is now, if its file has moved.
        encoding: not for this kind of run.
        engine: what scores the pictures again; None is torch where the victim's module is at hand,
            whatever scored the run.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its victim cannot be had, or the engine cannot score it.
    """
    yield from study.verify(
        AttackStudy, path, classifier=classifier, encoding=encoding, engine=engine
    )
