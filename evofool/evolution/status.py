"""``evofool status``: how far a run is, from its database alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evofool.evolution.restoring import check_kind
from evofool.scoring import settled
from evofool.store import CampaignFolder, head_of


def status(path: Path | str) -> dict[str, Any]:
    """Status, counts and statistics of a run as JSON values; loads no classifier.

    `status` is ``running`` (a process holds it), ``finished``, or ``interrupted``.

    Raises:
        StoreError: no run folder, or a damaged one.
    """
    with CampaignFolder.open(Path(path)) as run:
        check_kind(run)
        last = run.last_generation()
        head = head_of(run)
        finished = head["status"] == "finished"
        summary = run.summary() or {}
        content: dict[str, Any] = {
            **head,
            "encoding": run.manifest["encoding"]["name"],
            "generations": last.generation if last else 0,
            "evaluations": last.evaluations if last else 0,
            "forward_images": last.forward_images if last else 0,
            "sent": settled(
                run.sent(),
                0 if last is None else last.evaluations,
                going=head["status"] == "running",
            ),
            "seconds": round(last.seconds, 3) if last else 0.0,
            "archive_digest": summary.get("archive_digest") if finished else None,
        }
        if last is not None:
            elites = run.archive().elites
            stats = last.stats
            content["cells_filled"] = len(elites)
            content["cells_won"] = sum(elite.won for elite in elites)
            content["confidence"] = {
                key: stats[key]
                for key in ("median", "min", "max")
                if isinstance(stats.get(key), int | float)
            }
        return content
