"""What an attack of a run came to: its line in tables, rates, sizes, the picture to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evofool.attacks.runs.planning import Planned
from evofool.attacks.runs.rows import ChunkRow, HeldBackRow, ImageRow, ResultRow
from evofool.attacks.runs.statistics import share
from evofool.scoring import Robustness
from evofool.text import counted, rate

MOST_NOTES = 20
"""Different notes of an attack that the summary keeps."""


def stem(planned: Planned, row: ResultRow) -> str:
    """``003-00012``: the attack and the image, never a label; with ``all`` targets also these."""
    target = f"-{row.target:04d}" if planned.targets == "all" else ""
    return f"{planned.index:03d}-{row.image:05d}{target}"


def telling(rows: Sequence[ResultRow], images: Sequence[ImageRow]) -> ResultRow | None:
    """The result to show: a picture that fools, and the victim sure of both its answers."""

    def rank(row: ResultRow) -> tuple[bool, bool, float]:
        image = images[row.image]
        sure = min(image.confidence or 0.0, row.confidence or 0.0)
        return row.success, image.predicted == image.label, sure

    return max(rows, key=rank, default=None)


def line_of(
    planned: Planned,
    rows: Sequence[ResultRow],
    chunks: Sequence[ChunkRow],
    items: Sequence[tuple[int, int]],
    images: Sequence[ImageRow],
) -> dict[str, Any]:
    """The line of one attack with its parameters, as in ``summary.json``.

    Args:
        planned: the attack.
        rows: its results.
        chunks: in which they were stored.
        items: what it was to do.
        images: all clean ones.
    """
    n = len(rows)
    used = sum(image.used for image in images)
    notes = {note: None for chunk in chunks for note in chunk.notes}
    shared = sum(chunk.forward_shared for chunk in chunks)
    if n < len(items):
        verb = "was" if len(items) - n == 1 else "were"
        notes[f"{len(items) - n} of {counted(len(items), 'image')} {verb} not reached"] = None
    reached = {image for image, _ in items}
    if planned.targets != "all" and len(reached) < used:
        left = used - len(reached)
        theirs = "is of its" if left == 1 else "are of their"
        notes[f"{counted(left, 'image')} {theirs} target's class and left out"] = None
    forward = shared + sum(row.forward_images for row in rows)
    backward = sum(row.backward_images for row in rows)
    return {
        "index": planned.index,
        "attack": planned.name,
        "parameters": planned.parameters,
        "targets": planned.targets,
        "n": n,
        "planned": len(items),
        "incomplete": sum(not row.complete for row in rows),
        "success_png": share(sum(row.success for row in rows), n),
        "success_float": share(sum(row.success_float for row in rows), n),
        "eps": rows[0].eps if rows else None,
        "effective_eps": rows[0].effective_eps if rows else None,
        "norms": _norms(rows),
        "norms_of_successes": _norms([row for row in rows if row.success]),
        "forward_images": forward,
        "forward_shared_images": shared,
        "backward_images": backward,
        "verify_forward_images": sum(row.verify_forward_images for row in rows),
        "forward_images_per_image": forward / n if n else None,
        "backward_images_per_image": backward / n if n else None,
        "seconds": round(sum(row.seconds for row in rows), 3),
        "notes": list(notes)[:MOST_NOTES],
    }


def held_back_line(line: dict[str, Any], held_back: Sequence[HeldBackRow]) -> dict[str, Any]:
    """`line`, of `line_of`, with what the pictures are worth under held-back transforms.

    Args:
        line: of an attack.
        held_back: of its pictures; without any, `line` stays as it is.
    """
    if not held_back:
        return line
    transforms = held_back[0].transforms
    told = Robustness.of([row.successes for row in held_back], transforms).summary
    n = told["pictures"]
    note = (
        f"under {counted(transforms, 'held-back transform')} {rate(told['rate'], n)} fool (95 %"
        f" interval {rate(told['low'], n)} to {rate(told['high'], n)}); {told['under_all']} of"
        f" {counted(n, 'picture')} under all"
    )
    return {**line, "held_back": told, "notes": [note, *line["notes"]][:MOST_NOTES]}


def _norms(rows: Sequence[ResultRow]) -> dict[str, Any] | None:
    """Mean and median sizes of perturbations, and SSIM; None of nothing."""
    if not rows:
        return None
    norms = {}
    for key in ("l0", "l2", "linf", "ssim"):
        values = np.array([getattr(row, key) for row in rows], np.float64)
        norms[key] = {"mean": float(values.mean()), "median": float(np.median(values))}
    return norms
