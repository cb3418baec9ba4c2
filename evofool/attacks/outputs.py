"""What a run of attacks leaves for people: pictures, ``results.csv``, ``summary.json``.

All of it is derived from ``run.sqlite`` and can be made again at any time.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evofool.attacks.pictures import Side, amplified, equation
from evofool.attacks.planning import Planned
from evofool.attacks.result import name_of
from evofool.attacks.statistics import share
from evofool.errors import ImageError, StoreError
from evofool.images import PROVENANCE, SIDECAR, UInt8Images, decode_png, encode_png, read_text
from evofool.store import CLEAN, AttackFolder, Counts, ImageRow, ResultRow
from evofool.store.attack_schema import NONE
from evofool.store.files import json_object
from evofool.text import counted, csv_bytes

COLUMNS = (
    "attack_index", "attack", "parameters", "image", "picture", "source", "source_label",
    "target", "target_label", "predicted", "predicted_label", "confidence", "success_float",
    "success_png", "complete", "eps", "effective_eps", "l0", "l2", "linf", "ssim",
    "forward_images", "backward_images", "verify_forward_images", "seconds", "png",
)  # fmt: skip
MOST_NOTES = 20
"""Different notes of an attack that the summary keeps."""


def write_outputs(
    run: AttackFolder,
    attacks: Sequence[Planned],
    items: Mapping[int, Sequence[tuple[int, int]]],
    reason: str | None,
    counts: Counts,
    sent: Mapping[str, int],
    status: str = "finished",
) -> dict[str, Any]:
    """Write all derived files; returns the content of ``summary.json``.

    Args:
        run: the folder.
        attacks: those of its config.
        items: what each attack was to do.
        reason: why it ended before it was through, if it did.
        counts: what it has used.
        sent: pictures sent to the victim, by heading.
        status: ``finished`` or ``interrupted``.

    Raises:
        StoreError: the folder is damaged or cannot be written.
    """
    images = run.images()
    labels = tuple(run.manifest["classifier"]["labels"])
    table: list[tuple[object, ...]] = []
    groups = []
    claims: dict[str, Any] = {}
    for planned in attacks:
        rows = run.results(planned.index)
        for row in rows:
            claims[f"{stem(planned, row)}.png"] = _write_pictures(run, planned, row)
            table.append(_cells(planned, row, images[row.image], labels))
        _write_equation(run, planned, rows, images, labels)
        groups.append(line_of(run, planned, rows, items.get(planned.index, ()), images))
    run.write_json(f"images/{SIDECAR}", claims)
    run.write_file("results.csv", csv_bytes(COLUMNS, table))
    content = _summary(run, groups, images, reason, counts, sent, status)
    run.write_json("summary.json", content)
    return content


def stem(planned: Planned, row: ResultRow) -> str:
    """``003-00012``: the attack and the image, never a label; with ``all`` targets also these."""
    target = f"-{row.target:04d}" if planned.targets == "all" else ""
    return f"{planned.index:03d}-{row.image:05d}{target}"


def _write_pictures(run: AttackFolder, planned: Planned, row: ResultRow) -> dict[str, Any]:
    """The picture and its perturbation; returns the provenance inside."""
    png = run.result_png(row.attack, row.item)
    name = stem(planned, row)
    run.write_file(f"images/{name}.png", png, durable=False)
    picture, factor = amplified(_clean(run, row), picture_of(run, png))
    text = {"Software": "evofool", "Amplified": f"{factor:g} times around grey"}
    run.write_file(f"perturbations/{name}.png", encode_png(picture, text), durable=False)
    return json_object(read_text(io.BytesIO(png)).get(PROVENANCE, "{}"), run.path)


def picture_of(run: AttackFolder, png: bytes) -> UInt8Images:
    """The pixels of a stored PNG.

    Raises:
        StoreError: it is damaged, or not of the victim's shape.
    """
    try:
        pixels = decode_png(png)
    except ImageError as error:
        raise StoreError(f"{run.path}: a picture is damaged ({error})") from error
    if list(pixels.shape) != run.manifest["classifier"]["input_shape"]:
        raise StoreError(f"{run.path}: a picture has another shape than the victim's input")
    return pixels


def _clean(run: AttackFolder, row: ResultRow) -> UInt8Images:
    return picture_of(run, run.clean_pngs([row.image])[0])


def _cells(
    planned: Planned, row: ResultRow, image: ImageRow, labels: Sequence[str]
) -> tuple[object, ...]:
    def label(index: int) -> str:
        return "" if index == NONE else labels[index]

    def number(value: float | None) -> str:
        return "" if value is None else repr(value)

    return (
        planned.index, planned.name, json.dumps(planned.parameters), row.image,
        image.source, image.label, label(image.label),
        "" if row.target == NONE else row.target, label(row.target),
        "" if row.predicted == NONE else row.predicted, label(row.predicted),
        number(row.confidence), int(row.success_float), int(row.success), int(row.complete),
        number(row.eps), number(row.effective_eps), row.l0,
        repr(row.l2), repr(row.linf), repr(row.ssim), row.forward_images, row.backward_images,
        row.verify_forward_images, f"{row.seconds:.6f}", f"images/{stem(planned, row)}.png",
    )  # fmt: skip


def _write_equation(
    run: AttackFolder,
    planned: Planned,
    rows: Sequence[ResultRow],
    images: Sequence[ImageRow],
    labels: Sequence[str],
) -> None:
    best = telling(rows, images)
    if best is None:
        return
    image = images[best.image]
    before = Side(labels[image.predicted], image.confidence)
    after = Side(name_of(labels, best.predicted), best.confidence)
    adversarial = picture_of(run, run.result_png(best.attack, best.item))
    eps = planned.attack.norm_of == "linf" and best.effective_eps
    picture = equation(
        _clean(run, best), adversarial, before, after, title=planned.name, eps=eps or None
    )
    text = {"Software": "evofool", "Description": f"{planned.name}, image {best.image}"}
    run.write_file(f"equations/{planned.index:03d}.png", encode_png(picture, text), durable=False)


def telling(rows: Sequence[ResultRow], images: Sequence[ImageRow]) -> ResultRow | None:
    """The result to show: a picture that fools, and the victim sure of both its answers."""

    def rank(row: ResultRow) -> tuple[bool, bool, float]:
        image = images[row.image]
        sure = min(image.confidence or 0.0, row.confidence or 0.0)
        return row.success, image.predicted == image.label, sure

    return max(rows, key=rank, default=None)


def line_of(
    run: AttackFolder,
    planned: Planned,
    rows: Sequence[ResultRow],
    items: Sequence[tuple[int, int]],
    images: Sequence[ImageRow],
) -> dict[str, Any]:
    """The line of one attack with its parameters, as in ``summary.json``.

    Args:
        run: the folder.
        planned: the attack.
        rows: its results.
        items: what it was to do.
        images: all clean ones.
    """
    n = len(rows)
    used = sum(image.used for image in images)
    chunks = [chunk for chunk in run.chunks() if chunk.attack == planned.index]
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


def _norms(rows: Sequence[ResultRow]) -> dict[str, Any] | None:
    """Mean and median sizes of perturbations, and SSIM; None of nothing."""
    if not rows:
        return None
    found = {}
    for key in ("l0", "l2", "linf", "ssim"):
        values = np.array([getattr(row, key) for row in rows], np.float64)
        found[key] = {"mean": float(values.mean()), "median": float(np.median(values))}
    return found


def _summary(
    run: AttackFolder,
    groups: Sequence[Mapping[str, Any]],
    images: Sequence[ImageRow],
    reason: str | None,
    counts: Counts,
    sent: Mapping[str, int],
    status: str,
) -> dict[str, Any]:
    manifest = run.manifest
    notes = [note for chunk in run.chunks() if chunk.attack == CLEAN for note in chunk.notes]
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES} more notes on the images"]
    return {
        "kind": "attack",
        "status": status,
        "stop_reason": reason,
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "classifier": {
            "name": manifest["classifier"]["name"],
            "digest": manifest["classifier"]["digest"],
        },
        "images": len(images),
        "correct": sum(image.label == image.predicted != NONE for image in images),
        "attacked": sum(image.used for image in images),
        "left_out": sum(not image.used for image in images),
        "labels": run.meta().get("labels", "given"),
        "queries": counts.queries,
        "forward_images": counts.forward_images,
        "backward_images": counts.backward_images,
        "sent": dict(sent),
        "seconds": counts.seconds,
        "attacks": list(groups),
        "notes": notes,
    }
