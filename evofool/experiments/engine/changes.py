"""Edits of an experiment's config since it was begun, and the works that they add or drop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from evofool.config import to_yaml
from evofool.errors import DamagedError
from evofool.experiments.engine.plan import Plan
from evofool.experiments.engine.study import Study
from evofool.store.code import code_of
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import json_object
from evofool.store.fixed import differences, fixed_part
from evofool.store.history import with_changes
from evofool.store.manifest import new_manifest, repointed

_SHOWN = 6
"""Titles of works that one message names."""


def begun_with(made: Study[Any]) -> dict[str, Any]:
    """What the manifest says of a study: its config, code from outside, and its own entries."""
    config = made.loaded.config
    return {
        "config": fixed_part(config, made.changeable),
        "code": code_of(config),
        **made.described(),
    }


def _differences(
    study: type[Study[Any]] | Study[Any], run: ExperimentFolder, config: BaseModel
) -> list[tuple[str, Any, Any]]:
    """Keys of the config that are not what the manifest says, with both values."""
    entry = run.manifest.get("config")
    before = entry.get("fixed") if isinstance(entry, dict) else None
    now = fixed_part(config, study.changeable)["fixed"]
    return list(differences(before or {}, now))


def edited(
    study: type[Study[Any]] | Study[Any], run: ExperimentFolder, config: BaseModel
) -> list[str]:
    """Keys of the config that are not what the manifest says, in words."""
    return [
        f"{key} was {json.dumps(old)} and is {json.dumps(new)}"
        for key, old, new in _differences(study, run, config)
    ]


def edited_keys(study: type[Study[Any]], run: ExperimentFolder, config: BaseModel) -> list[str]:
    """The same keys alone."""
    return [key for key, _, _ in _differences(study, run, config)]


def record_changes(run: ExperimentFolder, made: Study[Any]) -> list[str] | None:
    """Write an edited config into the manifest; the keys that changed, None if none did."""
    config = made.loaded.config
    keys = edited(made, run, config)
    if not keys:
        return None
    fresh = new_manifest(made.kind, made.victim, config.seed, None)
    changed = {key: [old, new] for key, old, new in _differences(made, run, config)}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    change = {"at": at, "command": f"evofool resume {run.path}", "set": changed}
    run.write_manifest(
        {
            **run.manifest,
            **({"classifier": fresh["classifier"]} if "classifier" in fresh else {}),
            **begun_with(made),
            "seed": config.seed,
            "changes": [*run.manifest.get("changes", ()), change],
        }
    )
    run.write_config(to_yaml(config))
    return keys


def record_changeable(run: ExperimentFolder, made: Study[Any], before: BaseModel) -> None:
    """Write down what a resume has changed without changing the plan, if anything."""
    after = made.loaded.config
    manifest = with_changes(run, before, after, made.changeable)
    if manifest is None:
        return
    if made.victim is not None:
        manifest = repointed(manifest, made.victim)
    if "code" in manifest:
        manifest["code"] = {**manifest["code"], **code_of(after)}
    run.write_manifest(manifest)  # first: what happened is never missing from it
    run.write_config(to_yaml(after))


def change_of_plan(run: ExperimentFolder, plan: Plan, keys: Sequence[str]) -> str:
    """Which works are kept, new, and no longer used."""
    before = planned(run)
    works = run.works()
    kept = [p.title for p in plan if p.work.address in works]
    new = [p.title for p in plan if p.work.address not in works]
    unused = [title for a, title in before.items() if a not in plan and a in works]
    return "\n".join(
        (
            f"config.yaml was edited: {'; '.join(keys)}",
            f"kept: {listed(kept)}",
            f"new: {listed(new)}",
            f"no longer used: {listed(unused)}",
        )
    )


def planned(run: ExperimentFolder) -> dict[str, str]:
    """Title by address of the works of the plan that was last run.

    Raises:
        StoreError: damaged.
    """
    text = run.meta().get("plan", "[]")
    entries = json_object(f'{{"plan": {text}}}', run.path)["plan"]
    if not isinstance(entries, list) or not all(
        isinstance(e, list) and len(e) == 2 and all(isinstance(t, str) for t in e) for e in entries
    ):
        raise DamagedError(f"{run.path}: its plan is damaged")
    return dict(entries)


def listed(titles: Sequence[str]) -> str:
    """The first titles of works, and how many more there are."""
    more = f" and {len(titles) - _SHOWN} more" if len(titles) > _SHOWN else ""
    return (", ".join(titles[:_SHOWN]) or "nothing") + more
