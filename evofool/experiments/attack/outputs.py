"""What a run of attacks leaves for people: pictures, ``results.csv``, ``summary.json``.

All of it is drawn from the stored rows, picture by picture, and can be drawn again at any time.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from evofool.attacks.result import NONE, name_of
from evofool.attacks.runs.pictures import Side, amplified, equation
from evofool.attacks.runs.planning import Planned, check_rows
from evofool.attacks.runs.rows import (
    ChunkRow,
    ImageRow,
    ResultRow,
    picture_of,
    pixels_of,
    png_of,
    read_chunks,
    read_held_back,
    read_images,
    read_results,
)
from evofool.attacks.runs.statistics import wilson
from evofool.attacks.runs.summary import MOST_NOTES, held_back_line, line_of, stem, telling
from evofool.experiments.attack.parts import AttackParts
from evofool.experiments.attack.works import AttackOnImages
from evofool.experiments.engine import Results
from evofool.images import PROVENANCE, SIDECAR, encode_png, read_text
from evofool.report.output import SUMMARY, Folder
from evofool.scoring.ledger import with_total
from evofool.store.files import json_bytes, json_object
from evofool.store.records.works import Cost
from evofool.text import csv_bytes

TABLE = "results.csv"
COLUMNS = (
    "attack_index", "attack", "parameters", "image", "picture", "source", "source_label",
    "target", "target_label", "predicted", "predicted_label", "confidence", "success_float",
    "success_png", "complete", "eps", "effective_eps", "l0", "l2", "linf", "ssim",
    "forward_images", "backward_images", "verify_forward_images", "seconds", "png",
)  # fmt: skip

HELD_BACK = "held_back.csv"
HELD_BACK_COLUMNS = (
    "attack_index", "attack", "image", "target", "success_png", "transforms", "successes", "rate",
    "low", "high", "png",
)  # fmt: skip


class AttackOutputs:
    """The files of a run of attacks, whether it is through or not.

    Args:
        study: the run.
        results: of its works.
    """

    def __init__(self, study: AttackParts, results: Results) -> None:
        self._study, self._results = study, results
        self._run = results.folder
        self._images = read_images(self._run, study.judged.address)
        self._labels = tuple(study.victim.labels)

    def write(self, folder: Folder) -> Path:
        """Write everything, ``summary.json`` last; returns where ``results.csv`` is.

        Raises:
            StoreError: the run is damaged, or a file cannot be written.
        """
        claims: dict[str, Any] = {}
        for work in self._study.attacks:
            rows = self.rows(work)
            for row in rows:
                claims[f"{stem(work.planned, row)}.png"] = self._write_pictures(folder, work, row)
            self._write_equation(folder, work, rows)
        folder.write_file(f"images/{SIDECAR}", json_bytes(claims))
        if self._study.held_back:
            folder.write_file(HELD_BACK, self.held_back_table())
        path = folder.write_file(TABLE, self.table())
        folder.write_file(SUMMARY, json_bytes(self.summary))
        return path

    def table(self) -> bytes:
        """The content of ``results.csv``."""
        return csv_bytes(
            COLUMNS,
            [
                _cells(work.planned, row, self._images[row.image], self._labels)
                for work in self._study.attacks
                for row in self.rows(work)
            ],
        )

    def held_back_table(self) -> bytes:
        """The content of ``held_back.csv``: each picture under transforms that are held back."""
        lines: list[tuple[object, ...]] = []
        for each in self._study.held_back:
            planned, rows = each.attacked.planned, self.rows(each.attacked)
            results = {row.item: row for row in rows}
            for row in read_held_back(self._run, each.address):
                result = results[row.item]
                low, high = wilson(row.successes, row.transforms)
                lines.append(
                    (
                        planned.index, planned.name, result.image,
                        "" if result.target == NONE else result.target, int(result.success),
                        row.transforms, row.successes, repr(row.successes / row.transforms),
                        repr(low), repr(high), f"images/{stem(planned, result)}.png",
                    )
                )  # fmt: skip
        return csv_bytes(HELD_BACK_COLUMNS, lines)

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """The content of ``summary.json``."""
        manifest, images, meta = self._run.manifest, self._images, self._run.meta()
        cost = sum((self._results.cost(planned.work) for planned in self._study.plan), Cost())
        interrupted = meta.get("status") == "interrupted"
        labelled = self._study.judged.source.labelled
        return {
            "kind": "attack",
            "status": "interrupted" if interrupted else "finished",
            "stop_reason": meta.get("stop_reason") or None,
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
            "labels": "given" if labelled else "victim",
            "queries": cost.queries,
            "forward_images": cost.forward_images,
            "backward_images": cost.backward_images,
            "sent": with_total(self._run.sent()),
            "seconds": round(self._run.seconds(), 3),
            "attacks": [self._line(work) for work in self._study.attacks],
            "notes": _notes(read_chunks(self._run, self._study.judged.address)),
        }

    def rows(self, work: AttackOnImages) -> list[ResultRow]:
        """The results of an attack, checked to be of its images.

        Raises:
            StoreError: damaged.
        """
        rows = read_results(self._run, work.address)
        check_rows(self._run.path, work.planned.name, self._items(work), rows)
        return rows

    def _items(self, work: AttackOnImages) -> list[tuple[int, int]]:
        return work.items(self._images, self._study.victim)

    def _line(self, work: AttackOnImages) -> dict[str, Any]:
        chunks = read_chunks(self._run, work.address)
        rows = read_results(self._run, work.address)
        line = line_of(work.planned, rows, chunks, self._items(work), self._images)
        for each in self._study.held_back:
            if each.attacked.address == work.address:
                return held_back_line(line, read_held_back(self._run, each.address))
        return line

    def _write_pictures(
        self, folder: Folder, work: AttackOnImages, row: ResultRow
    ) -> dict[str, Any]:
        """The picture and its perturbation; returns the provenance inside."""
        png = png_of(self._run, work.address, row)
        name = stem(work.planned, row)
        folder.write_file(f"images/{name}.png", png, durable=False)
        clean = pixels_of(self._run, self._study.judged.address, self._images[row.image])
        picture, factor = amplified(clean, picture_of(self._run, png))
        text = {"Software": "evofool", "Amplified": f"{factor:g} times around grey"}
        folder.write_file(f"perturbations/{name}.png", encode_png(picture, text), durable=False)
        claim = read_text(io.BytesIO(png)).get(PROVENANCE, "{}")
        return json_object(claim, self._run.path)

    def _write_equation(
        self, folder: Folder, work: AttackOnImages, rows: Sequence[ResultRow]
    ) -> None:
        best = telling(rows, self._images)
        if best is None:
            return
        image, planned = self._images[best.image], work.planned
        before = Side(self._labels[image.predicted], image.confidence)
        after = Side(name_of(self._labels, best.predicted), best.confidence)
        eps = planned.attack.norm_of == "linf" and best.effective_eps
        picture = equation(
            pixels_of(self._run, self._study.judged.address, image),
            pixels_of(self._run, work.address, best),
            before,
            after,
            title=planned.name,
            eps=eps or None,
        )
        text = {"Software": "evofool", "Description": f"{planned.name}, image {best.image}"}
        name = f"equations/{planned.index:03d}.png"
        folder.write_file(name, encode_png(picture, text), durable=False)


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


def _notes(chunks: Sequence[ChunkRow]) -> list[str]:
    notes = [note for chunk in chunks for note in chunk.notes]
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES} more notes on the images"]
    return notes
