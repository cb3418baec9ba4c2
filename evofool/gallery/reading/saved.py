"""The elites of a campaign from its folder alone: its pictures are there, its encoding is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evofool.errors import EncodingError, StoreError
from evofool.evolution.outputs import png_name, read_table, saved_sha256
from evofool.files import read_file
from evofool.gallery.reading.exhibits import Exhibit, Step
from evofool.images import Size, UInt8Images
from evofool.store import CampaignFolder, EliteRow, IndividualId

NO_ENCODING = (
    "The encoding's file is not here, so nothing is drawn again: the pictures are those that"
    " the run left (--encoding says where the file is now)."
)


class SavedElites:
    """The pictures that a run left, as a `Source`.

    Raises:
        StoreError: one of them is missing, or is not of the elite that is stored now.
    """

    def __init__(self, run: CampaignFolder) -> None:
        self._run = run
        self._archive = run.archive()
        table = read_table(run)
        for elite in self._archive.elites:
            row = table.get(elite.class_index)
            same = row is not None and (row["generation"], row["confidence"], row["sha256"]) == (
                elite.id.generation,
                elite.confidence,
                saved_sha256(run, elite.class_index),
            )
            if not same:
                raise StoreError(
                    f"{run.path / png_name(elite.class_index)}: is missing or does not belong to"
                    " the stored elite, and the encoding's file, which could draw it again, is"
                    " not here; say where it is now with --encoding"
                )

    def exhibits(self) -> list[Exhibit]:
        """One an elite, in the order of their classes."""
        labels = self._run.manifest["classifier"]["labels"]
        return [self._exhibit(elite, labels) for elite in self._archive.elites]

    def _exhibit(self, elite: EliteRow, labels: Sequence[str]) -> Exhibit:
        c = elite.class_index
        if not 0 <= c < len(labels):
            raise StoreError(f"{self._run.path}: no cell for class {c}")
        genome = self._archive.holders[elite.id].genome
        return Exhibit(
            str(c),
            c,
            labels[c],
            elite.confidence,
            elite.won,
            elite.id.generation,
            str(elite.id),
            len(genome or b""),
            "bytes",
        )

    def png(self, exhibit: Exhibit) -> bytes:
        path = self._run.path / png_name(exhibit.class_index)
        try:
            return read_file(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from error

    def render(self, exhibit: Exhibit, size: Size) -> UInt8Images:
        raise EncodingError(f"{self._run.path}: {NO_ENCODING}")

    def describe(self, exhibit: Exhibit) -> Mapping[str, Any]:
        return {}

    def line(self, exhibit: Exhibit) -> Sequence[Step]:
        return ()

    def family(self, exhibit: Exhibit) -> set[IndividualId]:
        return set()

    def genome_bytes(self, exhibit: Exhibit) -> int:
        return exhibit.size

    def frames(self, ids: Sequence[IndividualId]) -> Mapping[IndividualId, UInt8Images]:
        return {}
