"""From the folder of a run of attacks back to its config, for whoever only looks at the run."""

from __future__ import annotations

from evofool.config import AttackCampaign, Loaded, load_attacks, moved_classifier
from evofool.config.http import CHANGEABLE as SERVICE
from evofool.errors import ConfigError, DamagedError
from evofool.store import Folder
from evofool.store.code import check_code
from evofool.store.fixed import Changeable, check_config
from evofool.store.folder import CONFIG

CHANGEABLE = Changeable(
    ("scoring.workers", "scoring.budget", *SERVICE),
    ("classifier.name", "classifier.weights", "classifier.ensemble"),
)
"""What of the config of a run of attacks never makes another plan."""


def load_attack_run(
    run: Folder, classifier: str | None = None, *, runs_code: bool = True
) -> Loaded[AttackCampaign]:
    """The config of a run folder as it was last run.

    Nothing that it names has been run when this returns.

    Args:
        run: the folder.
        classifier: where the victim is now, if its file has moved.
        runs_code: whether the caller is about to run all that the config names. If not, it may
            still ask for the attacks, so a file that holds one is checked in any case.

    Raises:
        FolderError: ``config.yaml`` was edited since, or code that it names is not what the run was
            made with.
        StoreError: it is damaged.
        ConfigError: `classifier` is wrong.
    """
    moved = () if classifier is None else (moved_classifier(classifier, run.path / CONFIG),)
    try:
        loaded = load_attacks(run.path / CONFIG, moved, check_files=False)
    except ConfigError as error:
        if moved:
            raise
        raise DamagedError(f"{run.path}: damaged: {error}") from error
    check_config(
        run,
        loaded.config,
        CHANGEABLE,
        f"continue with the edited config: evofool resume {run.path}",
    )
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
