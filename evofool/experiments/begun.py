"""What the run of an experiment was begun with, held against its folder when it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from evofool.config import Loaded
from evofool.store import Check, Folder
from evofool.store.code import check_code, code_of
from evofool.store.fixed import Changeable, check_config, config_check, fixed_part

CHANGEABLE = Changeable(("scoring.workers",))
"""What of an experiment may be another on resume."""


def begun_with(config: BaseModel) -> dict[str, Any]:
    """What a manifest says of the config and of the code that it names."""
    return {"config": fixed_part(config, CHANGEABLE), "code": code_of(config)}


def check_begun(run: Folder, config: BaseModel) -> None:
    """Refuse to go on with another config, or with other code; nothing of it has been run.

    Raises:
        FolderError: ``config.yaml`` was edited, or a file that it names has changed.
        StoreError: the manifest is damaged.
    """
    check_config(run, config, CHANGEABLE)
    check_code(run, config)


def begun_check(run: Folder, load: Callable[[], Loaded[Any]]) -> Check:
    """`check_begun` for ``evofool verify``, on the config that `load` reads."""
    return config_check(run, lambda: check_begun(run, load().config))
