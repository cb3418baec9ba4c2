"""``curve.csv``: how a campaign went, one line a generation; derived from the database."""

from __future__ import annotations

from pathlib import Path

from evofool.store import GenerationRow, RunFolder
from evofool.text import csv_bytes

COUNTED = ("generation", "evaluations", "forward_images", "seconds")


def write_curve(run: RunFolder) -> Path:
    """Write ``curve.csv``: counts, active seconds, and the statistics of the cells' confidences.

    Among these stand ``median``, ``min``, ``max``, the shares of all cells at thresholds,
    ``cells_won``, and how many cells improved; each is of the archive after that generation.

    Raises:
        StoreError: the folder cannot be read or written.
    """
    rows = run.generations()
    names = list(dict.fromkeys(name for row in rows for name in row.stats))
    lines = ([*_counts(row), *(row.stats.get(name, "") for name in names)] for row in rows)
    return run.write_file("curve.csv", csv_bytes((*COUNTED, *names), lines))


def _counts(row: GenerationRow) -> tuple[object, ...]:
    return row.generation, row.evaluations, row.forward_images, round(row.seconds, 3)
