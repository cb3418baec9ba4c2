"""What a campaign's elites are worth under transforms that they were not evolved under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evofool.evolution.outputs import Elite, Render, elites
from evofool.evolution.setup import Parts
from evofool.scoring import Robustness, Scorer
from evofool.store import CampaignFolder, Check
from evofool.text import csv_bytes, rate

TABLE = "held_back.csv"
COLUMNS = ("class_index", "label", "confidence", "transforms", "successes", "rate", "low", "high")
TURNED = 0.01
"""Share of all answers that another engine may turn round; the same engine turns none."""


def transforms_held_back(parts: Parts) -> int:
    """How many the campaign reports success under; 0 where its victim has no transforms."""
    transformed = parts.classifier.transformed
    return 0 if transformed is None else transformed.config.held_back


def successes(scorer: Scorer, part: list[Elite], transforms: int) -> list[int]:
    """Of each elite, under how many transforms its class is the net's first answer."""
    answers = scorer.held_back(np.stack([elite.pixels for elite in part]), transforms)
    classes = np.array([elite.class_index for elite in part])
    counts: list[int] = (answers.labels == classes[:, None]).sum(1).tolist()
    return counts


def write_held_back(run: CampaignFolder, parts: Parts, render: Render) -> dict[str, Any] | None:
    """Write ``held_back.csv``; returns what the summary says of it, None without transforms.

    Raises:
        StoreError: the folder cannot be written.
        ScoringError: the victim failed.
    """
    transforms = transforms_held_back(parts)
    if not transforms:
        return None
    rows: list[tuple[object, ...]] = []
    hits: list[int] = []
    before = parts.scorer.forward_images
    for part in elites(parts.archive, render, parts.classifier.labels):
        counts = successes(parts.scorer, part, transforms)
        robust = Robustness.of(counts, transforms)
        for k, (elite, count) in enumerate(zip(part, counts, strict=True)):
            low, high = robust.bounds(k)
            rows.append(
                (elite.class_index, elite.label, repr(elite.confidence), transforms, count,
                 repr(count / transforms), repr(low), repr(high))
            )  # fmt: skip
        hits += counts
    run.write_file(TABLE, csv_bytes(COLUMNS, rows))
    forward = parts.scorer.forward_images - before
    return {**Robustness.of(hits, transforms).summary, "forward_images": forward}


def check_held_back(
    summary: Mapping[str, Any] | None, counted: list[int], transforms: int, *, other: bool
) -> Check:
    """What the summary says of held-back transforms against the elites' pictures seen now.

    Args:
        summary: the content of ``summary.json``.
        counted: successes of each elite, found now.
        transforms: under which.
        other: whether another engine has found them than the run's.
    """
    stored = (summary or {}).get("held_back")
    claimed = stored.get("rate") if isinstance(stored, Mapping) else None
    now = Robustness.of(counted, transforms).summary
    if not isinstance(claimed, float) or now["rate"] is None:
        return Check("held back", None, "the run has not looked at other transforms")
    apart = abs(claimed - now["rate"])
    same = apart <= TURNED if other else apart < 1e-12
    n = len(counted)
    detail = f"{rate(now['rate'], n)} of {n} elites under {transforms} other transforms"
    return Check("held back", same, detail if same else f"{detail}, {rate(claimed, n)} is claimed")
