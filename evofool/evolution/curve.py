"""``curve.csv``: how a campaign went, one line a generation; derived from the database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evofool.store import CampaignFolder, GenerationRow
from evofool.text import csv_bytes

CURVE = "curve.csv"
COUNTED = ("generation", "evaluations", "forward_images", "seconds")


def write_curve(run: CampaignFolder) -> Path:
    """Write ``curve.csv``: counts, active seconds, and the statistics of the cells' confidences.

    Among these are ``median``, ``min``, ``max``, the shares of all cells at thresholds,
    ``cells_won``, and how many cells improved; each is of the archive after that generation.

    Raises:
        StoreError: the folder cannot be read or written.
    """
    return run.write_file(CURVE, curve_bytes(run.generations()))


def curve_bytes(rows: Sequence[GenerationRow]) -> bytes:
    """The content of ``curve.csv``."""
    names = list(dict.fromkeys(name for row in rows for name in row.stats))
    lines = ([*_counts(row), *(row.stats.get(name, "") for name in names)] for row in rows)
    return csv_bytes((*COUNTED, *names), lines)


def _counts(row: GenerationRow) -> tuple[object, ...]:
    return row.generation, row.evaluations, row.forward_images, round(row.seconds, 3)
