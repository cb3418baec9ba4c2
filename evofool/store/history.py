"""The history of a run since it was begun: what each resume changed, kept in the manifest."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from evofool.store.fixed import Changeable, changeable_part
from evofool.store.folder import Folder


def with_changes(
    run: Folder, before: BaseModel, after: BaseModel, changeable: Changeable
) -> dict[str, Any] | None:
    """The manifest with one more entry in ``changes``; None if nothing was changed.

    An entry has ``at`` (UTC), ``set``: by key, the value of before and of after, and ``command``,
    which changes as much, whether it was typed or ``config.yaml`` edited.

    Args:
        run: the folder.
        before: what ``config.yaml`` said; folders of before do not say it in their manifest.
        after: with what the run goes on.
        changeable: what may change in this kind of run.
    """
    manifest = dict(run.manifest)
    config = manifest.get("config")
    old = config.get("changeable") if isinstance(config, dict) else None
    new = changeable_part(after, changeable)
    if not isinstance(old, dict):
        old = changeable_part(before, changeable)
    # by the whole key: these are dotted already
    changed = {key: [old.get(key), new.get(key)] for key in {**old, **new}
               if old.get(key) != new.get(key)}  # fmt: skip
    if not changed:
        return None
    at = datetime.now(UTC).isoformat(timespec="seconds")
    command = _command(run, changed, changeable)
    entry = {"at": at, "command": command, "set": changed}
    manifest["changes"] = [*manifest.get("changes", ()), entry]
    if isinstance(config, dict):
        manifest["config"] = {**config, "changeable": new}
    return manifest


def _command(run: Folder, changed: Mapping[str, list[Any]], changeable: Changeable) -> str:
    words = ["evofool", "resume", str(run.path)]
    for key, (before, value) in changed.items():
        if key in changeable.files:
            place = _moved_to(before, value) if isinstance(value, list) else str(value)
            words += [f"--{key.partition('.')[0]}", place]
        else:
            words.append(f"{key}={json.dumps(value)}")
    return shlex.join(words)


def _moved_to(before: Any, after: list[Any]) -> str:
    """Where files of an ensemble's nets lie now: the one that moved, or the folder of several."""
    old = before if isinstance(before, list) else [{}] * len(after)
    files = [
        str(net[key])
        for net, was in zip(after, old, strict=False)
        for key in ("name", "weights")
        if net.get(key) is not None and net.get(key) != was.get(key)
    ]
    return files[0] if len(files) == 1 else str(PurePath(files[0]).parent) if files else "."


def commands_of(manifest: Mapping[str, Any]) -> str | None:
    """The command lines that make a run again, one after the other; None if it has no first."""
    first = manifest.get("command")
    if not first:
        return None
    return " && ".join((first, *(change["command"] for change in manifest.get("changes", ()))))
