"""The work that takes a search over from the run folder that holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from evofool.errors import DamagedError, ImageError, StoreError
from evofool.experiments.compare.searched import SpentRow
from evofool.experiments.compare.stored.search import FoundSearch, Origin, VictimOf
from evofool.experiments.compare.works import SearchRow
from evofool.experiments.engine import Artifact, Context, Row, Work, outside
from evofool.experiments.engine.work import work
from evofool.images import decode_png, encode_png


@dataclass(frozen=True)
class Source:
    """What a search is read from, while its run folder is there.

    Attributes:
        found: the search.
        rows: its rows without their pictures, by its own classes.
        own: by class of the comparison, that of the run.
    """

    found: FoundSearch
    rows: tuple[SearchRow, ...]
    own: Mapping[int, int]


@work
class StoredSearch(Work):
    """A search that a run folder holds; its fields say all that a comparison tells of it.

    Attributes:
        content: hex sha256 of its rows and of what it spent.
        origin: the run.
        victim: the net; its labels are those of the comparison.
        title: of the method.
        sees: what it needs of the net.
        family: what it is after.
        by: name of the attack, or where else its pictures come from.
        settings: what makes two searches runs of one method.
        seed: of the search.
        each: classes that share what it costs.
        sought: indices of the classes that it is after.
        source: the search itself; None where its run folder is gone and all is stored.
    """

    kind: ClassVar[str] = "stored-search"
    stays: ClassVar[bool] = True  # the run folders that it reads are here
    rows: ClassVar[tuple[type[Row], ...]] = (SearchRow, SpentRow)

    content: str
    origin: Origin
    victim: VictimOf
    title: str
    sees: str
    family: str
    by: str
    settings: Mapping[str, Any]
    seed: int
    each: int
    sought: tuple[int, ...]
    source: Source | None = outside()

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        if self.source is None:
            raise StoreError(
                f"{context.planned.title}: its run folder {self.origin.name} no longer exists"
            )
        found, rows = self.source.found, self.source.rows
        pngs = found.pictures([self.source.own[row.item] for row in rows])
        for row in rows:
            own = self.source.own[row.item]
            yield SearchRow(
                row.item, row.costs, row.log_odds, row.reached, row.final, row.predicted,
                png=_plain(pngs.get(own), f"{self.origin.name}: the picture of class {own}"),
            )  # fmt: skip
        spent = found.spent
        yield SpentRow(0, spent.forward_images, spent.backward_images, spent.seconds)


def _plain(png: bytes | None, what: str) -> bytes:
    """The same picture without the texts that came with it, which are no part of its size."""
    if png is None:
        raise StoreError(f"{what} is missing")
    try:
        return encode_png(decode_png(png))
    except ImageError as error:
        raise DamagedError(f"{what} is damaged ({error})") from error
