"""The state of a run, whatever its kind: running, interrupted, finished."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evofool.store.folder import Folder


def state_of(run: Folder) -> tuple[str, str | None]:
    """``running`` (a process holds it), ``finished`` with the reason, or ``interrupted``."""
    meta = run.meta()
    state = meta.get("status", "interrupted")
    if run.busy:
        return "running", None
    if state == "running":  # whoever wrote that is gone
        return "interrupted", None
    return state, meta.get("stop_reason") or None if state == "finished" else None


def head_of(run: Folder) -> dict[str, Any]:
    """What ``evofool status`` says of every kind of run first, as JSON values."""
    state, reason = state_of(run)
    manifest = run.manifest
    victim = manifest.get("classifier")
    return {
        "path": str(run.path),
        "status": state,
        "stop_reason": reason,
        **{key: manifest.get(key) for key in ("kind", "run_id", "created", "seed")},
        # none where a run trains its nets first
        "classifier": victim.get("name") if isinstance(victim, Mapping) else None,
    }
