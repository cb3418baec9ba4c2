"""The run folder of kind attack: clean images, results and pictures in ``run.sqlite``."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from evofool.errors import StoreError
from evofool.store.attack_schema import NONE, ChunkRow, Counts, ImageRow, ResultRow
from evofool.store.files import json_object
from evofool.store.folder import Folder

_NULL = type(None)
_IMAGE = (int, str, int, int, (float, _NULL), int, int)
_RESULT = (
    int, int, int, int, int, int, (float, _NULL), (float, _NULL), int, int, int, (float, _NULL),
    (float, _NULL), int, float, float, float, int, int, int, float,
)  # fmt: skip
_RESULT_COLUMNS = ", ".join(field.name for field in dataclasses.fields(ResultRow))
_UPDATES = ", ".join(
    f"{name} = excluded.{name}" for name in [*_RESULT_COLUMNS.split(", ")[2:], "png"]
)
_FLAGS = ("success", "success_float", "complete")


class AttackFolder(Folder):
    """One run of attacks on disk."""

    KIND = "attack"

    def commit_images(
        self, chunk: ChunkRow, counts: Counts, rows: Iterable[tuple[ImageRow, bytes]]
    ) -> None:
        """Write clean images with their PNGs, in one transaction."""
        values = [
            (r.index, r.source, r.label, r.predicted, _number(r.confidence), r.least_likely,
             int(r.used), png)
            for r, png in rows
        ]  # fmt: skip
        with self._errors(), self._db:
            self._db.executemany("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            self._chunk(chunk, counts)

    def commit_results(
        self, chunk: ChunkRow, counts: Counts, rows: Iterable[tuple[ResultRow, bytes]]
    ) -> None:
        """Write results with their PNGs, in one transaction.

        An earlier result of an item gives way, unless the new one was cut short by a budget and the
        earlier one was not, or fooled where the new one does not.
        """
        values = [
            (*(_number(value) for value in dataclasses.astuple(row)), png) for row, png in rows
        ]
        marks = ", ".join("?" * (len(_RESULT) + 1))
        with self._errors(), self._db:
            self._db.executemany(
                f"INSERT INTO results VALUES ({marks}) ON CONFLICT (attack, item) DO UPDATE SET"
                f" {_UPDATES} WHERE excluded.complete"
                " OR (NOT results.complete AND excluded.success >= results.success)",
                values,
            )
            self._chunk(chunk, counts)

    def images(self) -> list[ImageRow]:
        """The clean images in the order of their indices, checked to be 0, 1, 2...

        Raises:
            StoreError: damaged.
        """
        classes = len(self.manifest["classifier"]["labels"])
        found = []
        for position, (index, source, label, predicted, confidence, least, used) in enumerate(
            self._rows(
                "SELECT idx, source, label, predicted, confidence, least_likely, used FROM images"
                " ORDER BY idx",
                _IMAGE,
            )
        ):
            sane = (
                index == position
                # without a label of its own an image has the victim's answer, if there is one
                and (0 <= label < classes or (label == predicted == NONE and not used))
                and (0 <= predicted < classes or (predicted == NONE and confidence is None))
                and NONE <= least < classes
                and used in (0, 1)
                and _probability(confidence)
            )
            if not sane:
                raise StoreError(f"{self.path}: image {index} is damaged")
            found.append(ImageRow(index, source, label, predicted, confidence, least, bool(used)))
        return found

    def clean_pngs(self, indices: Sequence[int]) -> list[bytes]:
        """The PNGs of clean images, in this order."""
        return [self._png("SELECT png FROM images WHERE idx = ?", (index,)) for index in indices]

    def results(self, attack: int | None = None, items: range | None = None) -> list[ResultRow]:
        """The results of one attack, or of all, in order, without their pictures.

        Args:
            attack: its number, None for all.
            items: of that attack, consecutive; None for all.

        Raises:
            StoreError: damaged.
        """
        where, values = "", ()  # type: tuple[str, tuple[int, ...]]
        if attack is not None:
            where, values = "WHERE attack = ?", (attack,)
            if items is not None:
                where += " AND item >= ? AND item < ?"
                values = (attack, items.start, items.stop)
        found = []
        for row in self._rows(
            f"SELECT {_RESULT_COLUMNS} FROM results {where} ORDER BY attack, item", _RESULT, values
        ):
            values_of = dict(zip((f.name for f in dataclasses.fields(ResultRow)), row, strict=True))
            flags = {name: values_of[name] for name in _FLAGS}
            numbers = [value for value in row if isinstance(value, float)]
            sane = (
                all(flag in (0, 1) for flag in flags.values())
                and all(map(math.isfinite, numbers))
                and _probability(values_of["confidence"])
                and _probability(values_of["sought_confidence"])
                and (
                    self._is_class(values_of["predicted"])
                    or (values_of["predicted"] == NONE and values_of["confidence"] is None)
                )
                and (
                    values_of["predicted_float"] == NONE
                    or self._is_class(values_of["predicted_float"])
                )
                and (values_of["target"] == NONE or self._is_class(values_of["target"]))
                and min(values_of["attack"], values_of["item"], values_of["image"]) >= 0
            )
            if not sane:
                raise StoreError(
                    f"{self.path}: result {values_of['item']} of attack {values_of['attack']}"
                    " is damaged"
                )
            flags = {name: bool(flag) for name, flag in flags.items()}
            found.append(ResultRow(**{**values_of, **flags}))
        return found

    def result_png(self, attack: int, item: int) -> bytes:
        """The picture of a result."""
        return self._png("SELECT png FROM results WHERE attack = ? AND item = ?", (attack, item))

    def chunks(self) -> list[ChunkRow]:
        """The transactions, in the order of attacks and chunks."""
        found = []
        for attack, chunk, shared, notes in self._rows(
            "SELECT attack, chunk, forward_shared, notes FROM chunks ORDER BY attack, chunk",
            (int, int, int, str),
        ):
            texts = json_object(notes, self.path).get("notes")
            if (
                not isinstance(texts, list)
                or shared < 0
                or not all(isinstance(text, str) for text in texts)
            ):
                raise StoreError(f"{self.path}: the notes of a chunk are damaged")
            found.append(ChunkRow(attack, chunk, shared, tuple(texts or ())))
        return found

    def counts(self) -> Counts:
        """What the run has used up to its last transaction.

        Raises:
            StoreError: damaged.
        """
        text = self.meta().get("counts")
        if text is None:
            return Counts()
        values = json_object(text, self.path)
        try:
            found = Counts(**values)
            whole = (found.queries, found.forward_images, found.backward_images, found.batch)
            sane = all(type(n) is int and n >= 0 for n in whole) and found.seconds >= 0
        except TypeError as error:
            raise StoreError(f"{self.path}: its counts are damaged ({error})") from error
        if not sane:
            raise StoreError(f"{self.path}: its counts are damaged")
        return found

    def reopen(self, attack: int, chunk: int) -> None:
        """Forget that a chunk was done, in one transaction: it will be attacked again."""
        with self._errors(), self._db:
            self._db.execute("DELETE FROM chunks WHERE attack = ? AND chunk = ?", (attack, chunk))

    def _is_class(self, *indices: int) -> bool:
        return all(0 <= i < len(self.manifest["classifier"]["labels"]) for i in indices)

    def _png(self, query: str, values: tuple[int, ...]) -> bytes:
        rows = self._rows(query, (bytes,), values)
        if not rows:
            raise StoreError(f"{self.path}: a picture is missing {values}")
        data: bytes = rows[0][0]
        return data

    def _chunk(self, row: ChunkRow, counts: Counts) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?)",
            (row.attack, row.chunk, row.forward_shared, json.dumps({"notes": row.notes})),
        )
        self._db.execute(
            "INSERT OR REPLACE INTO meta VALUES ('counts', ?)",
            (json.dumps(dataclasses.asdict(counts)),),
        )


def _number(value: Any) -> Any:
    """A value as SQLite takes it: truths are integers, NaN (which says nothing) is NULL."""
    if isinstance(value, bool):
        return int(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _probability(value: float | None) -> bool:
    return value is None or 0.0 <= value <= 1.0
