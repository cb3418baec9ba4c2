"""What became of a run after it was begun: every change on a resume, in its manifest."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evofool.store.fixed import differences, plain


def resume_command(
    path: Path,
    overrides: Sequence[str] = (),
    classifier: str | None = None,
    encoding: str | None = None,
) -> str:
    """The command line of a resume."""
    words = ["evofool", "resume", str(path), *overrides]
    for option, value in (("--classifier", classifier), ("--encoding", encoding)):
        if value is not None:
            words += [option, value]
    return shlex.join(words)


def with_change(
    manifest: Mapping[str, Any], before: BaseModel, after: BaseModel, command: str
) -> dict[str, Any]:
    """`manifest` with one more entry in ``changes``, if the two configs differ.

    An entry has ``at`` (UTC), ``command``, and ``set``: by key, the value of before and of after.
    """
    changed = {key: [old, new] for key, old, new in differences(plain(before), plain(after))}
    if not changed:
        return dict(manifest)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    entry = {"at": at, "command": command, "set": changed}
    return {**manifest, "changes": [*manifest.get("changes", ()), entry]}


def commands_of(manifest: Mapping[str, Any]) -> str | None:
    """The command lines that make a run again, one after the other; None if it has no first."""
    first = manifest.get("command")
    if not first:
        return None
    return " && ".join((first, *(change["command"] for change in manifest.get("changes", ()))))
