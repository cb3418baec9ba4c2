"""``evofool status`` of a run of attacks, from its database alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evofool.scoring import settled
from evofool.store import AttackFolder, head_of


def status(path: Path | str) -> dict[str, Any]:
    """Status and counts as JSON values; loads no classifier.

    Raises:
        StoreError: no run of attacks, or a damaged one.
    """
    with AttackFolder.open(Path(path)) as run:
        results, counts = run.results(), run.counts()
        images, head = run.images(), head_of(run)
        return {
            **head,
            "images": len(images),
            "attacked": sum(image.used for image in images),
            "results": len(results),
            "fooled": sum(row.success for row in results),
            "incomplete": sum(not row.complete for row in results),
            "queries": counts.queries,
            "forward_images": counts.forward_images,
            "backward_images": counts.backward_images,
            "sent": settled(run.sent(), counts.queries, going=head["status"] == "running"),
            "seconds": counts.seconds,
        }
