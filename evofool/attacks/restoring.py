"""From the folder of a run of attacks back to its config, checked; what a resume changes there."""

from __future__ import annotations

from collections.abc import Sequence

from evofool.classifiers import Classifier
from evofool.config import AttackCampaign, Loaded, load_attacks, moved_classifier, to_yaml
from evofool.errors import ConfigError, StoreError, UsageError
from evofool.store import AttackFolder
from evofool.store.code import check_code, code_of
from evofool.store.fixed import Changeable, check_config
from evofool.store.folder import CONFIG
from evofool.store.history import with_changes
from evofool.store.manifest import repointed

CHANGEABLE = Changeable(
    ("scoring.workers", "scoring.budget"), ("classifier.name", "classifier.weights")
)
"""What of a run of attacks may be another on resume."""


def load_attack_run(
    run: AttackFolder,
    classifier: str | None = None,
    overrides: Sequence[str] = (),
    *,
    runs_code: bool = True,
) -> Loaded[AttackCampaign]:
    """The config of a run folder, with what may still be changed changed.

    Nothing that it names has been run when this returns.

    Args:
        run: the folder.
        classifier: where the victim is now, if its file has moved.
        overrides: of `CHANGEABLE` keys.
        runs_code: whether the caller is about to run all that the config names. If not, it may
            still ask for the attacks, so a file that holds one is checked in any case.

    Raises:
        ConfigError, UsageError: an override is wrong.
        FolderError: ``config.yaml`` was edited, or code that it names is not what the run was made
            with.
        StoreError: it is damaged.
    """
    CHANGEABLE.check_overrides(overrides)
    moved = () if classifier is None else (moved_classifier(classifier, run.path / CONFIG),)
    loaded = read_attack_config(run, (*overrides, *moved))
    check_config(run, loaded.config, CHANGEABLE)
    sections = None if runs_code else _attack_keys(loaded.config)
    keys = [each.partition("=")[0] for each in moved]
    check_code(run, loaded.config, moved=keys, sections=sections)
    return loaded


def _attack_keys(config: AttackCampaign) -> list[str]:
    """Keys that name attacks: whoever only looks at a run runs the files there, and no others."""
    return [
        f"attacks.{index}.{key}"
        for index, entry in enumerate(config.attacks)
        for key in ("name", *entry.options)
        if key != "substitute"  # a net, which only an attack that is run loads
    ]


def read_attack_config(run: AttackFolder, overrides: Sequence[str] = ()) -> Loaded[AttackCampaign]:
    """``config.yaml`` as it is.

    Raises:
        StoreError: it is damaged.
        ConfigError: an override is wrong.
    """
    try:
        return load_attacks(run.path / CONFIG, overrides, check_files=False)
    except ConfigError as error:
        if overrides:
            raise
        raise StoreError(f"{run.path}: damaged: {error}") from error


def check_budget(run: AttackFolder, budget: int | None) -> None:
    """Refuse a new budget below what is spent.

    Raises:
        UsageError: it is; nothing was changed.
    """
    spent = run.counts().queries
    if budget is not None and budget < spent:
        raise UsageError(
            f"{run.path}: scoring.budget: {budget} is less than the {spent} queries that are spent"
            " already; nothing was changed: give a larger one"
        )


def record_changes(
    run: AttackFolder, before: AttackCampaign, after: AttackCampaign, victim: Classifier
) -> None:
    """Write down what a resume has changed, if anything: in the manifest and ``config.yaml``."""
    manifest = with_changes(run, before, after, CHANGEABLE)
    if manifest is None:
        return
    manifest = repointed(manifest, victim)
    if "code" in manifest:
        manifest["code"] = {**manifest["code"], **code_of(after)}
    run.write_manifest(manifest)  # first: what happened is never missing from it
    run.write_config(to_yaml(after))
